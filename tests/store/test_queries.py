from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import duckdb
import pytest

from fragility.errors import QueryError, UsageError
from fragility.store import RunEnd, Store, queries
from tests.store import samples


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("filled")
    samples.fill(root)
    return root


@pytest.fixture
def root(filled: Path, tmp_path: Path) -> Path:
    """A copy, for what a test does to it."""
    return shutil.copytree(filled, tmp_path, dirs_exist_ok=True)


@pytest.fixture
def two_runs(root: Path) -> Path:
    """A second run of the study, whose plan has lost the retrainings, and another study's run."""
    fewer = [task for task in samples.TASKS if task[1] != "retrain"]
    with Store.open(root, write=True) as store:
        store.start_run(samples.start("r1", 3, plan_id="p1"), samples.plan("p1", tasks=fewer))
        store.end_run(RunEnd("r1", "done"))
        store.start_run(samples.start("x0", 2, "other", "p2"), samples.plan("p2", "other"))
        store.end_run(RunEnd("x0", "done"))
    return root


def test_views_show_the_newest_run_of_each_study(two_runs: Path) -> None:
    found = queries.query(two_runs, "SELECT run_id, study FROM current_plans ORDER BY ALL")
    assert found.rows == [("r1", "demo"), ("x0", "other")]
    assert found.columns == ("run_id", "study")
    assert found.types == ("VARCHAR", "VARCHAR")


@pytest.mark.parametrize(("run", "count"), [("r0", 2), ("r1", 0), ("demo", 0), ("other", 2)])
def test_a_chosen_run_turns_every_view(two_runs: Path, run: str, count: int) -> None:
    rows = queries.query(two_runs, "FROM trainings WHERE role = 'retraining'", run).rows
    assert len(rows) == count
    assert len(queries.query(two_runs, "FROM cells", run).rows) == 1
    assert len(queries.query(two_runs, "FROM runs", run).rows) == 3


def test_facts_do_not_multiply_with_plans(two_runs: Path) -> None:
    for view, count in (("effects", 4), ("scores", 4), ("agreements", 2), ("points", 2)):
        assert queries.query(two_runs, f"SELECT count(*) FROM {view}").rows == [(count,)]
    assert queries.query(two_runs, "SELECT count(*) FROM cells").rows == [(2,)]
    assert queries.query(two_runs, "SELECT count(*) FROM tasks").rows == [(6,)]


def test_labels_come_from_the_plan(root: Path) -> None:
    sql = "SELECT cell_id, estimator, min(score) FROM scores GROUP BY ALL"
    rows = queries.query(root, sql).rows
    assert rows == [("c0", "exact", 1.0)]
    rows = queries.query(root, "SELECT removed, step FROM trajectories ORDER BY ALL").rows
    assert rows == [("0", 0), ("0", 5), ("1", 5)]
    rows = queries.query(root, "SELECT factors->>'models.mlp.depth', seed FROM cells").rows
    assert rows == [("3", 2**62 + 1)]


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1",
        "WITH a AS (SELECT 1) FROM a",
        "DESCRIBE cells",
        "SHOW TABLES",
        "SUMMARIZE effects",
        "FROM runs;",
        "VALUES (1) -- with a comment; and a semicolon",
        "EXPLAIN SELECT * FROM effects",
        "PIVOT effects ON test_point IN (0, 1) USING count(*)",
    ],
)
def test_reading_statements_are_answered(root: Path, sql: str) -> None:
    assert queries.query(root, sql).rows


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("", "no statement"),
        ("-- nothing", "no statement"),
        ("SELECT 1; SELECT 2", "several statements"),
        ("DELETE FROM runs", "DELETE is refused"),
        ("CREATE TABLE x (y INT)", "CREATE is refused"),
        ("COPY runs TO 'x.csv'", "COPY is refused"),
        ("ATTACH 'x.duckdb'", "ATTACH is refused"),
        ("SET threads = 1", "SET is refused"),
        ("INSTALL httpfs", "LOAD is refused"),
        ("PIVOT effects ON test_point USING count(*)", "PIVOT needs its values"),
        ("WITH x AS (INSERT INTO schema VALUES (2) RETURNING *) FROM x", "."),
        ("SELEC 1", "syntax error"),
        ("SELECT * FROM read_csv('/etc/hosts')", "disabled by configuration"),
        ("SELECT * FROM glob('*')", "disabled by configuration"),
        ("FROM '/etc/hosts.csv'", "."),
        ("SELECT efect FROM effects", 'Candidate bindings: "effect'),
        ("SELECT 1 / 'x'", "Could not convert"),
    ],
)
def test_everything_else_is_refused(root: Path, sql: str, message: str) -> None:
    with pytest.raises(QueryError, match=message) as caught:
        queries.query(root, sql)
    assert caught.value.exit_code == 2


def test_a_table_that_is_not_there_gets_the_nearest_name(root: Path) -> None:
    with pytest.raises(QueryError) as caught:
        queries.query(root, "SELECT * FROM agrements")
    assert caught.value.message == "Catalog Error: Table with name agrements does not exist!"
    assert str(caught.value.hint).startswith("Did you mean `agreements`? Tables: runs, ")
    assert str(caught.value).count("Did you mean") == 1


def test_a_connection_stays_safe(root: Path) -> None:
    with queries.connect(root) as connection:
        for sql in ("SET enable_external_access = true", "COPY runs TO 'x.csv'", "DROP TABLE runs"):
            with pytest.raises(duckdb.Error):
                connection.execute(sql)
    assert samples.rows(root)["runs"]


def test_runs_are_found_by_what_people_type(two_runs: Path) -> None:
    assert queries.resolve_run(two_runs, "r0") == "r0"
    assert queries.resolve_run(two_runs, "demo") == "r1"
    assert queries.resolve_run(two_runs, "x") == "x0"
    with pytest.raises(UsageError, match=r"begins the ids of 2 runs: `r1`, `r0`"):
        queries.resolve_run(two_runs, "r")
    with pytest.raises(UsageError, match=r"called `dem`\. Did you mean `demo`\?"):
        queries.resolve_run(two_runs, "dem")
    with pytest.raises(UsageError, match="called ``"):
        queries.resolve_run(two_runs, "")
    with pytest.raises(UsageError, match="called `it's`"):
        queries.connect(two_runs, "it's")


def test_no_store_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"There is no store at .*fragility run quickstart"):
        queries.connect(tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()


def test_exports_hold_the_result_only(root: Path, tmp_path: Path) -> None:
    sql = "SELECT test_point, train_point, score FROM scores ORDER BY ALL -- all"
    paths = {suffix: tmp_path / f"it's{suffix}" for suffix in queries.FORMATS}
    for path in paths.values():
        queries.export(root, sql, path)
    names = ("test_point", "train_point", "score")
    rows = queries.query(root, sql).rows
    assert rows[0] == (0, 0, 1.0)
    assert json.loads(paths[".json"].read_text())[0] == dict(zip(names, rows[0], strict=True))
    with paths[".csv"].open() as file:
        assert list(csv.reader(file))[:2] == [list(names), ["0", "0", "1.0"]]
    with duckdb.connect() as connection:
        found = connection.execute("FROM read_parquet(?)", [str(paths[".parquet"])]).fetchall()
    assert found == rows
    assert not list(tmp_path.glob(".*.tmp"))


def test_describing_statements_can_be_exported(root: Path, tmp_path: Path) -> None:
    queries.export(root, "DESCRIBE cells;", tmp_path / "cells.csv", "r0")
    assert "arm,VARCHAR" in (tmp_path / "cells.csv").read_text()


def test_a_refused_export_leaves_the_file_alone(root: Path, tmp_path: Path) -> None:
    path = tmp_path / "kept.csv"
    path.write_text("kept")
    for sql in ("SELECT 1 / 'x'", "DROP TABLE runs", "SELECT * FROM read_csv('/etc/hosts')"):
        with pytest.raises(QueryError):
            queries.export(root, sql, path)
    assert path.read_text() == "kept"
    with pytest.raises(UsageError, match=r"must end in one of \.csv, \.json, \.parquet"):
        queries.export(root, "FROM runs", tmp_path / "x.xlsx")
    with pytest.raises(UsageError, match="There is no folder"):
        queries.export(root, "FROM runs", tmp_path / "nowhere" / "x.csv")


def test_a_store_that_can_only_be_read_is_read(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (root / "log" / "b-agree.safetensors").unlink()

    def refused(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("fragility.store.lock.acquire", refused)
    assert len(queries.query(root, "FROM agreements").rows) == 2
    (root / "fragility.duckdb").unlink()
    with pytest.raises(Exception, match="cannot be written: Permission denied"):
        queries.query(root, "FROM agreements")
