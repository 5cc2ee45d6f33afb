"""The commands that read a store."""

import csv
import io
import json
from pathlib import Path

import duckdb
import pytest

from tests.cli import small
from tests.cli.test_main import code_of


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    root = tmp_path_factory.mktemp("stores") / "results"
    small.write(root)
    return str(root)


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert code_of(*arguments) == 0, capsys.readouterr().err
    output = capsys.readouterr()
    assert output.err == ""
    return output.out


def test_runs_are_listed_newest_first(store: str, capsys: pytest.CaptureFixture[str]) -> None:
    header, *lines = printed(capsys, "runs", "--store", store).splitlines()
    assert header.split() == [
        *("run_id", "study", "started", "status"),
        *("ok", "cached", "failed", "skipped", "time"),
    ]
    assert [line.split()[:2] for line in lines] == [[small.NEW, "iris"], [small.OLD, "wine"]]
    assert lines[0].endswith("29 s")


@pytest.mark.parametrize("name", [small.OLD, small.OLD[:8], "wine", "studies/wine.yaml"])
def test_a_run_is_shown_by_any_of_its_names(
    name: str, store: str, capsys: pytest.CaptureFixture[str]
) -> None:
    output = printed(capsys, "show", name, "--store", store)
    lines = [line.split() for line in output.splitlines()]
    assert ["run", small.OLD] in lines
    assert ["took", "29", "s"] in lines
    assert ["memory", "0.9", "GB"] in lines
    assert ["train", "1", "1", "0", "0", "0", "1.5", "s"] in lines
    assert "0.50 [.40,.60]" in output


def test_without_a_name_the_newest_run_is_shown(
    store: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert small.NEW in printed(capsys, "show", "--store", store)


def test_an_unknown_run_is_an_error_with_a_suggestion(
    store: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert code_of("show", "wnie", "--store", store) == 2
    assert "Did you mean `wine`?" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["runs", "show", "report"])
def test_where_nothing_was_run_the_first_step_is_said(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert code_of(command, "--store", str(tmp_path / "none")) == 2
    assert "fragility run quickstart" in capsys.readouterr().err


SQL = """\
SELECT study, metric, value, NULL AS nothing, 'nan'::DOUBLE AS odd
FROM summaries JOIN cells USING (cell_id)
WHERE metric = 'slope'
ORDER BY study"""


def test_a_query_is_a_table_csv_or_json(store: str, capsys: pytest.CaptureFixture[str]) -> None:
    table = printed(capsys, "query", SQL, "--store", store).splitlines()
    assert table[1].split() == ["iris", "slope", "0.5", "null", "nan"]
    text = printed(capsys, "query", SQL, "--store", store, "--format", "csv")
    assert list(csv.reader(io.StringIO(text)))[1] == ["iris", "slope", "0.5", "", "nan"]
    records = json.loads(printed(capsys, "query", SQL, "--store", store, "--format", "json"))
    assert records[0] == {
        "study": "iris",
        "metric": "slope",
        "value": 0.5,
        "nothing": None,
        "odd": None,
    }
    assert [record["study"] for record in records] == ["iris", "wine"]


def test_a_query_can_be_turned_to_one_run(store: str, capsys: pytest.CaptureFixture[str]) -> None:
    sql = "SELECT study FROM cells"
    assert printed(capsys, "query", sql, "--run", "wine", "--store", store).split() == [
        "study",
        "wine",
    ]


@pytest.mark.parametrize("suffix", [".csv", ".json", ".parquet"])
def test_a_query_goes_to_a_file(
    suffix: str, store: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / f"out{suffix}"
    assert printed(capsys, "query", SQL, "--store", store, "--out", str(out)) == ""
    found = duckdb.sql(f"SELECT study, value FROM '{out}'").fetchall()
    assert found == [("iris", 0.5), ("wine", 0.5)]


def test_format_wins_over_the_files_name(
    store: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.txt"
    printed(capsys, "query", SQL, "--store", store, "--format", "csv", "--out", str(out))
    assert out.read_text().startswith("study,metric,value,nothing,odd\n")


@pytest.mark.parametrize("sql", ["DROP TABLE runs", "SELECT 1; SELECT 2", "SELECT nope FROM runs"])
def test_refused_sql_is_a_usage_error(
    sql: str, store: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert code_of("query", sql, "--store", store) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert "bug" not in output.err


def test_without_sql_the_schema_is_pointed_at(capsys: pytest.CaptureFixture[str]) -> None:
    assert code_of("query") == 2
    assert "--schema" in capsys.readouterr().err


def test_the_schema_documents_every_public_table(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, "query", "--schema")
    for name in ("runs", "cells", "tasks", "trainings", "points", "scores", "effects"):
        assert f"\n{name}: " in f"\n{text}"


def test_the_report_is_written_where_it_is_said(
    store: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = printed(capsys, "report", "--store", store).strip()
    assert path == str(Path(store) / "reports" / "iris.html")
    assert Path(path).read_text(encoding="utf-8").lstrip().lower().startswith("<!doctype html>")
    other = tmp_path / "new" / "page.html"
    assert printed(capsys, "report", "wine", "--store", store, "--out", str(other)) == f"{other}\n"
    assert other.is_file()


def test_the_store_can_be_named_by_the_environment(
    store: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FRAGILITY_STORE", store)
    assert small.NEW in printed(capsys, "runs")


def test_the_doctor_finds_a_store_in_order(store: str, capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(capsys, "doctor", "--quick", "--store", store).splitlines()
    assert "in order" in lines[-1]


def test_the_doctor_names_what_is_damaged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small.write(tmp_path)
    damaged = next((tmp_path / "log").glob("*.safetensors"))
    damaged.write_bytes(b"")
    assert code_of("doctor", "--quick", "--store", str(tmp_path)) == 3
    assert str(damaged) in capsys.readouterr().out
