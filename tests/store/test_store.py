from __future__ import annotations

import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fragility.errors import StoreDamagedError, StoreError, StoreLockedError
from fragility.store import BatchRecord, RunEnd, Store, TaskResult, queries
from fragility.store import store as store_module
from fragility.store.database import database_path, open_database
from fragility.store.files import write_atomic
from fragility.store.log import write_record
from tests.store import samples


def test_results_survive_the_store(tmp_path: Path) -> None:
    samples.fill(tmp_path)
    for write in (True, False):
        with Store.open(tmp_path, write=write) as store:
            assert store.finished() == {
                result.task_id: result for batch in samples.batches() for result in batch.tasks
            }
            np.testing.assert_array_equal(store.arrays("t-drop1", "losses")["losses"], [3, 4, 5])
            table = store.table("t-drop1", "training_facts")
            assert "task" not in table
            assert list(table["removed"]) == ["1"]
            assert np.isnan(table["test_accuracy"]).all()
            assert store.table("t-drop1", "score_facts") == {}


def test_a_folder_that_is_not_there_is_an_empty_store_to_a_reader(tmp_path: Path) -> None:
    root = tmp_path / "results"
    with Store.open(root, write=False) as store:
        assert store.finished() == {}
        with pytest.raises(ValueError, match="opened for reading"):
            store.commit(samples.batches()[0])
    assert not root.exists()


def test_arrays_and_unknown_names(tmp_path: Path) -> None:
    samples.fill(tmp_path)
    store = Store.open(tmp_path, write=False)
    assert store.arrays("t-drop0").keys() == {"losses"}
    with pytest.raises(KeyError, match="no array loss; it has"):
        store.arrays("t-drop0", "loss")
    with pytest.raises(KeyError):
        store.arrays("nobody")


def test_the_database_is_a_function_of_the_log(tmp_path: Path) -> None:
    samples.fill(tmp_path)
    before = samples.rows(tmp_path)
    assert len(before["effect_facts"]) == 4
    database_path(tmp_path).unlink()
    Store.open(tmp_path, write=True).close()
    assert samples.rows(tmp_path) == before
    Store.rebuild(tmp_path)
    assert samples.rows(tmp_path) == before


def test_the_order_of_ingestion_does_not_matter(tmp_path: Path) -> None:
    older = samples.record("b", ["t"], {"training_facts": samples.trainings("base", [None], 1.0)})
    newer = samples.record(
        "b", ["t"], {"training_facts": samples.trainings("base", [None], 2.0)}, day=2
    )
    found = []
    for name, order in (("one", (older, newer)), ("two", (newer, older)), ("both", ())):
        root = tmp_path / name
        for batch in order:
            with Store.open(root, write=True) as store:
                store.commit(batch)
        if not order:
            write_record(root, older)
            write_record(root, newer)
            Store.open(root, write=True).close()
        rows = samples.rows(root)
        assert len(rows["training_facts"]) == len(rows["task_results"]) == 1
        found.append(rows["training_facts"])
        with Store.open(root, write=False) as store:
            assert list(store.table("t", "training_facts")["test_loss"]) == [2.0]
    assert found[0] == found[1] == found[2]


def test_the_latest_of_a_failed_and_a_retried_task_wins(tmp_path: Path) -> None:
    facts = {"training_facts": samples.trainings("retraining", ["0", "1"])}
    failed = samples.record("b", ["t0", "t1"], facts, status="failed")
    retried = samples.record("b", ["t0", "t1"], facts, day=2)
    with Store.open(tmp_path, write=True) as store:
        store.commit(failed)
        store.flush()
        assert samples.rows(tmp_path)["training_facts"] == []
        store.commit(retried)
        assert {result.status for result in store.finished().values()} == {"ok"}
    assert len(samples.rows(tmp_path)["training_facts"]) == 2
    with Store.open(tmp_path, write=True) as store:
        store.commit(samples.record("c", ["t1"], status="failed", day=3))
    rows = samples.rows(tmp_path)
    assert [row[0] for row in rows["training_facts"]] == ["t0"]
    assert sorted(row[2] for row in rows["task_results"]) == ["failed", "ok"]
    before = rows
    Store.rebuild(tmp_path)
    assert samples.rows(tmp_path) == before


KILLED = """
import os, signal, sys
from pathlib import Path
from fragility.store import Store
from fragility.store import store as module
from tests.store import samples
root = Path(sys.argv[1])
module.BUFFER_SECONDS = 600
store = Store.open(root, write=True)
store.start_run(samples.start(), samples.plan())
for batch in samples.batches():
    store.commit(batch)
(root / "log" / ".half.safetensors.1.tmp").write_bytes(b"half")
(root / "fragility.new.duckdb").write_bytes(b"half")
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_kill_between_log_and_database_is_healed(tmp_path: Path) -> None:
    undisturbed, killed = tmp_path / "a", tmp_path / "b"
    samples.fill(undisturbed)
    process = samples.python(KILLED, killed)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL, errors
    assert samples.rows(killed)["task_results"] == []
    with Store.open(killed, write=False) as store:
        assert len(store.finished()) == 6
    with Store.open(killed, write=True) as store:
        assert len(store.finished()) == 6
    same = {"effect_facts", "score_facts", "training_facts", "plan_tasks", "task_results"}
    healed, expected = samples.rows(killed), samples.rows(undisturbed)
    assert {name: healed[name] for name in same} == {name: expected[name] for name in same}
    assert not list(killed.glob("log/.*")) + list(killed.glob("fragility.new*"))
    assert queries.query(killed, "SELECT status, ok FROM runs").rows == [("interrupted", None)]


def test_a_reader_heals_too(tmp_path: Path) -> None:
    process = samples.python(KILLED, tmp_path)
    process.communicate(timeout=60)
    assert queries.query(tmp_path, "SELECT count(*) FROM effects").rows == [(4,)]
    database_path(tmp_path).unlink()
    assert queries.query(tmp_path, "SELECT count(*) FROM effects").rows == [(4,)]


@pytest.mark.parametrize("keep", [0, 100, 5000])
def test_a_damaged_database_is_derived_anew(tmp_path: Path, keep: int) -> None:
    samples.fill(tmp_path)
    before = samples.rows(tmp_path)
    path = database_path(tmp_path)
    path.write_bytes(path.read_bytes()[:keep])
    Store.open(tmp_path, write=True).close()
    assert samples.rows(tmp_path) == before


def test_a_database_of_another_schema_is_derived_anew(tmp_path: Path) -> None:
    samples.fill(tmp_path)
    before = samples.rows(tmp_path)
    with open_database(database_path(tmp_path), read_only=False, wait=0) as connection:
        connection.execute("UPDATE schema SET version = 0")
        connection.execute("DROP VIEW tasks")
    assert len(queries.query(tmp_path, "FROM tasks").rows) == 6
    assert samples.rows(tmp_path) == before


@pytest.mark.parametrize("known", [True, False])
def test_a_damaged_log_file_stops_with_its_name(tmp_path: Path, known: bool) -> None:
    samples.fill(tmp_path)
    path = tmp_path / "log" / "b-score.safetensors"
    path.write_bytes(path.read_bytes()[:100])
    if not known:
        database_path(tmp_path).unlink()
    for attempt in (
        lambda: Store.open(tmp_path, write=True),
        lambda: Store.open(tmp_path, write=False),
        lambda: queries.connect(tmp_path),
        lambda: Store.rebuild(tmp_path),
    ):
        with pytest.raises(StoreDamagedError, match=r"b-score\.safetensors.*Delete") as caught:
            attempt()
        assert caught.value.exit_code == 3
    path.unlink()
    with Store.open(tmp_path, write=True) as store:
        assert "t-score" not in store.finished()
        assert len(store.finished()) == 5
    assert samples.rows(tmp_path)["score_facts"] == []


@pytest.mark.parametrize("name", ["runs/r0.start.json", "runs/r0.end.json", "plans/p0.json"])
@pytest.mark.parametrize("content", [b"{", b'{"x": 1}', b"[]"])
def test_damaged_run_files_stop_with_their_name(tmp_path: Path, name: str, content: bytes) -> None:
    samples.fill(tmp_path)
    (tmp_path / "log" / name).write_bytes(content)
    with pytest.raises(StoreDamagedError, match=Path(name).name):
        Store.open(tmp_path, write=True)


def test_temporaries_are_no_records_and_are_removed(tmp_path: Path) -> None:
    samples.fill(tmp_path)
    leftovers = [
        tmp_path / "log" / ".b.safetensors.1.tmp",
        tmp_path / "log" / "runs" / ".r.end.json.1.tmp",
        tmp_path / "models" / ".t.safetensors.1.tmp",
    ]
    (tmp_path / "models").mkdir()
    for path in leftovers:
        path.write_bytes(b"half")
    assert len(Store.open(tmp_path, write=False).finished()) == 6
    assert all(path.exists() for path in leftovers)
    Store.open(tmp_path, write=True).close()
    assert not any(path.exists() for path in leftovers)


HOLD = """
import sys
from pathlib import Path
from fragility.store import Store
with Store.open(Path(sys.argv[1]), write=True):
    print("held", flush=True)
    sys.stdin.readline()
"""


def test_a_second_writer_is_told_who_holds_the_store(tmp_path: Path) -> None:
    process = samples.python(HOLD, tmp_path)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    for attempt in (lambda: Store.open(tmp_path, write=True), lambda: Store.rebuild(tmp_path)):
        with pytest.raises(StoreLockedError, match=f"by process {process.pid}") as caught:
            attempt()
        assert caught.value.exit_code == 3
    process.communicate("\n", timeout=60)
    Store.open(tmp_path, write=True).close()


def test_the_lock_ends_with_a_failed_opening(tmp_path: Path) -> None:
    write_atomic(tmp_path / "log" / "b.safetensors", b"garbage")
    for _ in range(2):
        with pytest.raises(StoreDamagedError):
            Store.open(tmp_path, write=True)


ASK = """
import sys
from pathlib import Path
from fragility.store import queries
print(queries.query(Path(sys.argv[1]), "SELECT count(*) FROM effects").rows[0][0])
"""


def test_another_process_reads_while_a_run_goes_on(tmp_path: Path) -> None:
    with Store.open(tmp_path, write=True) as store:
        store.start_run(samples.start(), samples.plan())
        counts = []
        for batch in samples.batches()[3:]:
            process = samples.python(ASK, tmp_path)
            output, errors = process.communicate(timeout=60)
            assert process.returncode == 0, errors
            counts.append(int(output))
            store.commit(batch)
            store.flush()
    assert counts == [0, 4]


def test_the_database_follows_the_log_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "BUFFER_SECONDS", 0.05)
    with Store.open(tmp_path, write=True) as store:
        store.start_run(samples.start(), samples.plan())
        for _ in range(2):
            store.commit(samples.batches()[3])
            deadline = time.monotonic() + 20
            while not queries.query(tmp_path, "FROM effects").rows:
                assert time.monotonic() < deadline
                time.sleep(0.02)


READ = """
import duckdb, sys
connection = duckdb.connect(sys.argv[1], read_only=True)
print("reading", flush=True)
sys.stdin.readline()
print(connection.execute("SELECT count(*) FROM task_results").fetchone()[0])
"""


def test_a_reader_that_stays_blocks_nobody(tmp_path: Path) -> None:
    samples.fill(tmp_path)
    process = samples.python(READ, database_path(tmp_path))
    assert process.stdout is not None
    assert process.stdout.readline() == "reading\n"
    with Store.open(tmp_path, write=True) as store:
        store.commit(samples.record("late", ["t-late"]))
        store.flush()
        assert len(store.finished()) == 7
    assert len(samples.rows(tmp_path)["task_results"]) == 7
    output, errors = process.communicate("\n", timeout=60)
    assert output == "6\n", errors
    before = samples.rows(tmp_path)
    Store.rebuild(tmp_path)
    assert samples.rows(tmp_path) == before


def test_models_are_kept_whole(tmp_path: Path) -> None:
    parameters = {
        "weight": np.arange(6, dtype=np.float32).reshape(2, 3).T,
        "bias": np.array(2.0),
        "empty": np.zeros((0, 3)),
    }
    with Store.open(tmp_path, write=True) as store:
        store.commit(samples.batches()[0])
        store.write_model("t-base", parameters)
        read = store.read_model("t-base")
        assert read.keys() == parameters.keys()
        for name, value in parameters.items():
            np.testing.assert_array_equal(read[name], value)
            assert (read[name].dtype, read[name].shape) == (value.dtype, value.shape)
        path = store.model_path("t-base")
        assert path == tmp_path / "models" / "t-base.safetensors"
        path.write_bytes(path.read_bytes()[:-1])
        with pytest.raises(StoreDamagedError, match=r"is damaged.*Delete .*b-train\.safetensors"):
            store.read_model("t-base")
        path.unlink()
        with pytest.raises(StoreDamagedError, match=r"is missing.*Delete .*b-train\.safetensors"):
            store.read_model("t-base")


@pytest.mark.parametrize(
    ("table", "columns", "message"),
    [
        ("scores", {"task": [0]}, "no fact table scores"),
        ("score_facts", {"task": [0], "sore": [1.0]}, "no column sore"),
        ("score_facts", {"task": [0], "score": ["high"]}, "must be DOUBLE"),
        ("training_facts", {"task": [0], "removed": [3]}, "must be VARCHAR"),
        ("score_facts", {"task": [0], "test_point": [2**31]}, "must be INTEGER"),
        ("score_facts", {"task": [0], "test_point": [np.inf]}, "must be INTEGER"),
    ],
)
def test_facts_the_database_could_not_take_in_do_not_reach_the_log(
    tmp_path: Path, table: str, columns: Any, message: str
) -> None:
    with Store.open(tmp_path, write=True) as store:
        with pytest.raises(ValueError, match=message):
            store.commit(samples.record("b", ["t"], {table: columns}))
        assert store.finished() == {}
    assert list(tmp_path.glob("log/*.safetensors")) == []


def test_missing_and_infinite_numbers(tmp_path: Path) -> None:
    samples.fill(tmp_path)
    rows = queries.query(tmp_path, "SELECT score FROM scores ORDER BY test_point, train_point").rows
    assert rows == [(1.0,), (2.0,), (float("inf"),), (None,)]
    rows = queries.query(tmp_path, "SELECT test_point, value FROM agreements ORDER BY ALL").rows
    assert rows == [(0, 0.5), (None, None)]


def test_what_was_stored_before_there_was_a_column_is_read(tmp_path: Path) -> None:
    samples.fill(tmp_path)
    rows = queries.query(tmp_path, "SELECT DISTINCT weighting FROM agreements").rows
    assert rows == [("raw",)]
    assert queries.query(tmp_path, "SELECT DISTINCT probability FROM points").rows == [(None,)]


def test_records_of_other_columns_are_put_together(tmp_path: Path) -> None:
    with Store.open(tmp_path, write=True) as store:
        store.commit(samples.record("a", ["a"], {"training_facts": {"task": [0], "steps": [3]}}))
        store.commit(
            samples.record(
                "b", ["b"], {"training_facts": {"task": [0], "steps": [None], "converged": [None]}}
            )
        )
        store.commit(
            samples.record(
                "c", ["c"], {"training_facts": {"task": [0], "converged": [False], "role": [None]}}
            )
        )
        store.commit(samples.record("d", ["d"], {"training_facts": {"task": [], "role": []}}))
        store.commit(samples.record("e", ["e"], {"training_facts": {"task": [], "steps": []}}))
    with open_database(database_path(tmp_path), read_only=True, wait=1) as connection:
        found = connection.execute(
            "SELECT task_id, steps, converged, role FROM training_facts ORDER BY ALL"
        ).fetchall()
    assert found == [("a", 3, None, None), ("b", None, None, None), ("c", None, False, None)]


def test_a_store_that_cannot_be_made_says_so(tmp_path: Path) -> None:
    (tmp_path / "results").write_text("a file")
    with pytest.raises(StoreError, match="cannot be written"):
        Store.open(tmp_path / "results", write=True)


def test_a_full_disk_for_the_database_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store.open(tmp_path, write=True)
    store.commit(samples.batches()[0])

    def full(*_: object, **__: object) -> None:
        raise store_module.duckdb.IOException("No space left on device")

    monkeypatch.setattr("fragility.store.database.ingest", full)
    with pytest.raises(StoreError, match="No space left") as caught:
        store.close()
    assert caught.value.exit_code == 3
    monkeypatch.undo()
    with Store.open(tmp_path, write=True) as again:
        assert again.finished().keys() == {"t-base"}


def test_a_store_in_step_answers_what_is_finished_in_time(tmp_path: Path) -> None:
    # The full-size measurement (5,000 files) is a benchmark; this catches reading the log.
    count = 300
    for batch in range(count):
        ids = [f"{batch:05d}-{task}" for task in range(10)]
        tasks = tuple(TaskResult(task_id, "retrain", "ok", None, 0.1) for task_id in ids)
        write_record(tmp_path, BatchRecord(f"b{batch}", samples.DAY.format(1), tasks))
    Store.open(tmp_path, write=True).close()
    opened: list[Path] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store_module.log, "read_header", lambda path: opened.append(path))
        store = Store.open(tmp_path, write=False)
    assert len(store.finished()) == 10 * count
    assert opened == []


def test_a_run_that_lost_its_process_is_interrupted(tmp_path: Path) -> None:
    samples.fill(tmp_path)
    with Store.open(tmp_path, write=True) as store:
        store.start_run(samples.start("r1", day=5), samples.plan())
        assert _statuses(tmp_path) == ["done", "running"]
    assert _statuses(tmp_path) == ["done", "interrupted"]


def _statuses(root: Path) -> list[object]:
    return [row[0] for row in queries.query(root, "SELECT status FROM runs ORDER BY run_id").rows]


def test_a_run_says_what_it_skipped(tmp_path: Path) -> None:
    with Store.open(tmp_path, write=True) as store:
        store.start_run(samples.start(), samples.plan())
        store.commit(
            replace(samples.batches()[0], tasks=samples.results("t-base", status="failed"))
        )
        store.end_run(RunEnd("r0", "failed", skips={"t-score": "t-base failed"}))
    rows = queries.query(
        tmp_path,
        "SELECT task_id, status, message FROM tasks",
    ).rows
    assert ("t-base", "failed", "it diverged") in rows
    assert ("t-score", "skipped", "t-base failed") in rows
    assert ("t-agree", "pending", None) in rows


def test_the_store_needs_no_torch() -> None:
    code = (
        "import sys, fragility.store, fragility.store.queries, fragility.store.health,"
        " fragility.store.documentation; sys.exit('torch' in sys.modules)"
    )
    process = samples.python(code)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
