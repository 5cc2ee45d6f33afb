"""A run computes what is missing, once, and says what it did."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fragility.errors import MethodFailure, UsageError
from fragility.estimators.exact import Exact
from fragility.execution import run as runner
from fragility.execution.events import BatchFinished, BatchStarted, Event, PlanReady, RunFinished
from fragility.execution.preview import preview
from fragility.execution.run import RunOptions
from fragility.store import Store
from tests.tiny import TINY, batch_files, changed, everything, load, rows, run

TASKS = 1 + 1 + 5 + 2 + 1
"""Base model, scores, a placebo and four retrainings, effects and agreement, a diagnostic."""

DIVERGES = {
    "kind": "full_batch",
    "optimizer": {"kind": "sgd", "learning_rate": 1e200},
    "steps": 30,
    "dtype": "float64",
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("finished") / "results"
    assert run(TINY, root).ok == TASKS
    return root


@pytest.fixture
def store(finished: Path, tmp_path: Path) -> Path:
    """A copy of the finished study's store, to write to."""
    return Path(shutil.copytree(finished, tmp_path / "results"))


def without_batches(root: Path) -> dict[str, set[str]]:
    """All rows but those that tell the batches, which are others in another plan."""
    return {
        name: set(found)
        for name, found in everything(root).items()
        if name not in ("tasks", "current_tasks")
    }


def test_a_run_says_what_it_does(tmp_path: Path) -> None:
    events: list[Event] = []
    summary = run(TINY, tmp_path, on_event=events.append, command="fragility run tiny")
    assert isinstance(events[0], PlanReady)
    assert events[0].totals == {
        "train": 1,
        "estimate": 1,
        "retrain": 5,
        "measure": 2,
        "diagnose": 1,
    }
    assert set(events[0].cached.values()) == {0}
    assert events[-1] == RunFinished(summary)
    started = [e.batch_id for e in events if isinstance(e, BatchStarted)]
    ended = [e.batch_id for e in events if isinstance(e, BatchFinished)]
    assert started == ended
    assert sum(e.ok for e in events if isinstance(e, BatchFinished)) == summary.ok == TASKS
    (recorded,) = rows(
        tmp_path, "SELECT status, ok, cached, failed, skipped, command, seed, device FROM runs"
    )
    assert recorded == ("done", TASKS, 0, 0, 0, "fragility run tiny", 0, "cpu")


def test_every_training_says_how_long_it_took(finished: Path) -> None:
    seconds = [row[0] for row in rows(finished, "SELECT seconds FROM trainings")]
    assert len(seconds) == 6
    assert min(seconds) > 0


def test_a_second_run_computes_nothing(store: Path) -> None:
    before, files = everything(store), batch_files(store)
    events: list[Event] = []
    summary = run(TINY, store, on_event=events.append)
    assert (summary.ok, summary.cached, summary.failed, summary.skipped) == (0, TASKS, 0, 0)
    assert batch_files(store) == files
    assert everything(store) == before
    assert not any(isinstance(event, BatchStarted) for event in events)
    assert isinstance(events[0], PlanReady)
    assert events[0].cached == events[0].totals


@pytest.mark.parametrize(
    ("changes", "new"),
    [
        ({"repeats": 3}, {"train": 2, "estimate": 2, "retrain": 10, "measure": 4, "diagnose": 2}),
        ({"estimators.b": {"kind": "exact", "damping": 1}}, {"estimate": 1, "measure": 1}),
        (
            {
                "procedures.last": {
                    "kind": "leave_one_out",
                    "parameters": "last_layer",
                    "train_points": {"kind": "indices", "indices": [0, 1]},
                    "test_points": {"kind": "random", "count": 2},
                }
            },
            {"retrain": 3, "measure": 2},
        ),
        ({"procedures.warm.train_points.count": 7}, {"retrain": 3, "measure": 2}),
        ({"procedures.warm.test_points.count": 4}, {"estimate": 1, "measure": 2}),
        ({"diagnostics": ["gradient_norm", "hessian_top_eigenvalue"]}, {"diagnose": 1}),
        ({"metrics": ["pearson", "slope", "spearman"]}, {"measure": 1}),
        (
            {"sweep": {"estimators.exact.damping": [0.01, 0.1, 1]}},
            {"estimate": 2, "measure": 2},
        ),
    ],
    ids=lambda value: "-".join(value),
)
def test_what_is_added_is_all_that_is_computed(
    changes: dict[str, Any], new: dict[str, int], store: Path
) -> None:
    before = without_batches(store)
    events: list[Event] = []
    summary = run(changed(TINY, changes), store, on_event=events.append)
    computed: dict[str, int] = {}
    for event in events:
        if isinstance(event, BatchFinished):
            computed[event.kind] = computed.get(event.kind, 0) + event.ok
    assert computed == new
    assert summary.ok == sum(new.values())
    adds_alone = "sweep" not in changes and not any(
        path.startswith(("metrics", "procedures.warm")) for path in changes
    )
    if adds_alone:
        after = without_batches(store)
        for table, found in before.items():
            assert found <= after[table], f"rows of {table} are no longer what they were"


def test_effects_of_points_measured_before_stay_as_they_are(store: Path) -> None:
    sql = "SELECT test_point, train_point, before, after, effect FROM effects"
    before = set(rows(store, sql))
    run(changed(TINY, {"procedures.warm.train_points.count": 7}), store)
    assert before < set(rows(store, sql))


def test_a_damping_sweep_trains_one_base_model(tmp_path: Path) -> None:
    swept = changed(TINY, {"sweep": {"estimators.exact.damping": [0.01, 0.1, 1]}})
    assert run(swept, tmp_path).ok == TASKS + 2 * 2
    assert rows(tmp_path, "SELECT count(*) FROM cells") == [(3,)]
    assert rows(
        tmp_path, "SELECT count(DISTINCT task_id), count(*) FROM trainings WHERE role = 'base'"
    ) == [(1, 3)]
    found = rows(
        tmp_path,
        "SELECT count(*), count(DISTINCT effect), count(DISTINCT cell_id) FROM effects",
    )
    assert found == [(3 * 5 * 2, 5 * 2, 3)]
    scores = rows(
        tmp_path,
        "SELECT count(DISTINCT score) FROM scores GROUP BY test_point, train_point",
    )
    assert set(scores) == {(3,)}


@pytest.fixture(scope="module")
def failed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store of a study of which one of two base models diverges."""
    root = tmp_path_factory.mktemp("failed") / "results"
    summary = run(WITH_FAILURE, root)
    assert (summary.ok, summary.failed, summary.skipped) == (TASKS, 1, TASKS - 1)
    return root


WITH_FAILURE = changed(TINY, {"training.hasty": DIVERGES})


def test_a_failure_is_recorded_with_what_it_keeps_from_running(
    failed: Path, finished: Path
) -> None:
    found = rows(
        failed,
        "SELECT training, kind, status, count(*), min(message), count(DISTINCT message)"
        " FROM tasks JOIN cells USING (cell_id) WHERE training = 'hasty' GROUP BY ALL ORDER BY ALL",
    )
    ((name,),) = rows(failed, "SELECT task_id FROM tasks WHERE status = 'failed'")
    because = f"its input train {name[:8]} (hasty) failed"
    diverged = (
        "training diverged within 25 steps: its objective is not finite. Lower the learning rate."
    )
    assert found == [
        ("hasty", "diagnose", "skipped", 1, because, 1),
        ("hasty", "estimate", "skipped", 1, because, 1),
        ("hasty", "measure", "skipped", 2, because, 1),
        ("hasty", "retrain", "skipped", 5, because, 1),
        ("hasty", "train", "failed", 1, diverged, 1),
    ]
    assert rows(failed, "SELECT status, ok, failed, skipped FROM runs") == [
        ("failed", TASKS, 1, TASKS - 1)
    ]
    effects = "SELECT test_point, train_point, effect FROM effects ORDER BY ALL"
    assert rows(failed, effects) == rows(finished, effects)


def test_the_summary_names_failures(tmp_path: Path) -> None:
    summary = run(WITH_FAILURE, tmp_path, select=("kind:train",))
    (failure,) = summary.failures
    assert (failure.kind, failure.cell) == ("train", "hasty")
    assert failure.message.startswith("training diverged")
    assert (summary.ok, summary.skipped) == (1, 0)


def test_the_next_run_tries_what_failed_again(failed: Path, tmp_path: Path) -> None:
    store = Path(shutil.copytree(failed, tmp_path / "results"))
    started: list[Event] = []
    summary = run(WITH_FAILURE, store, on_event=started.append)
    assert (summary.ok, summary.cached, summary.failed) == (0, TASKS, 1)
    assert [(e.kind, e.tasks) for e in started if isinstance(e, BatchStarted)] == [("train", 1)]


def test_a_failure_that_went_away_leaves_no_trace(
    tmp_path: Path, finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:

        def estimate(self: Exact, *arguments: object) -> object:
            raise MethodFailure("no answer today.", "Come back tomorrow.")

        broken.setattr(Exact, "estimate", estimate)
        summary = run(TINY, tmp_path)
        assert (summary.ok, summary.failed, summary.skipped) == (TASKS - 2, 1, 1)
        assert summary.failures[0].message == "no answer today. Come back tomorrow."
    assert rows(tmp_path, "SELECT count(*) FROM scores") == [(0,)]
    summary = run(TINY, tmp_path)
    assert (summary.ok, summary.cached, summary.failed) == (2, TASKS - 2, 0)
    assert everything(tmp_path) == everything(finished)


def test_an_error_of_a_method_fails_its_batch_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def estimate(self: Exact, *arguments: object) -> object:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(Exact, "estimate", estimate)
    summary = run(TINY, tmp_path)
    assert (summary.ok, summary.failed, summary.skipped) == (TASKS - 2, 1, 1)
    assert summary.failures[0].message == "RuntimeError: out of memory"


def test_only_failed_leaves_what_is_new_alone(failed: Path, tmp_path: Path) -> None:
    store = Path(shutil.copytree(failed, tmp_path / "results"))
    wider = changed(WITH_FAILURE, {"estimators.b": {"kind": "exact", "damping": 1}})
    summary = run(wider, store, only_failed=True)
    assert (summary.ok, summary.cached, summary.failed) == (0, 0, 1)
    assert summary.skipped == TASKS - 1 + 2
    assert rows(store, "SELECT count(*) FROM tasks WHERE status = 'pending'") == [(2,)]


def test_only_failed_of_a_study_without_failures_does_nothing(store: Path) -> None:
    summary = run(TINY, store, only_failed=True)
    assert (summary.ok, summary.cached, summary.failed, summary.skipped) == (0, 0, 0, 0)


def test_fail_fast_stops_at_the_first_failure(tmp_path: Path) -> None:
    first = changed(TINY, {"training": {"hasty": DIVERGES, **TINY["training"]}})
    summary = run(first, tmp_path, fail_fast=True)
    assert (summary.ok, summary.failed) == (0, 1)
    assert rows(tmp_path, "SELECT status FROM runs") == [("failed",)]
    states = rows(tmp_path, "SELECT DISTINCT status FROM tasks ORDER BY ALL")
    assert states == [("failed",), ("pending",)]


def test_a_selection_is_all_that_runs(tmp_path: Path) -> None:
    events: list[Event] = []
    summary = run(TINY, tmp_path, select=("kind:train",), on_event=events.append)
    assert (summary.ok, summary.cached, summary.skipped) == (1, 0, 0)
    assert isinstance(events[0], PlanReady)
    assert sum(events[0].totals.values()) == 1
    summary = run(TINY, tmp_path, select=("kind:train", "kind:diagnose"))
    assert (summary.ok, summary.cached, summary.skipped) == (1, 1, 0)
    summary = run(TINY, tmp_path, exclude=("kind:measure",))
    assert (summary.ok, summary.cached, summary.skipped) == (6, 2, 0)
    summary = run(TINY, tmp_path, select=("kind:train",))
    assert (summary.ok, summary.cached, summary.skipped) == (0, 1, 0)


def test_what_is_selected_without_what_it_needs_is_skipped(tmp_path: Path) -> None:
    summary = run(TINY, tmp_path, select=("kind:retrain",))
    assert (summary.ok, summary.skipped) == (0, 5)
    ((message,),) = rows(tmp_path, "SELECT DISTINCT message FROM tasks WHERE status = 'skipped'")
    assert message.endswith("(net) was not selected")
    summary = run(TINY, tmp_path, select=("+kind:retrain",))
    assert (summary.ok, summary.skipped) == (6, 0)


def test_a_selection_of_nothing_is_an_error_and_no_run(store: Path) -> None:
    for options in ({"select": ("kind:retrian",)}, {"exclude": ("estimator:none",)}):
        with pytest.raises(UsageError, match="selects no task"):
            run(TINY, store, **options)
    assert rows(store, "SELECT count(*) FROM runs") == [(1,)]


class Killed(BaseException):
    """What no handler expects."""


def crashing(
    monkeypatch: pytest.MonkeyPatch, method: str, at: int, *, after: bool, error: type[Any]
) -> None:
    """Makes the store's `at`-th call of a method raise, before or after it did its work."""
    original: Callable[..., Any] = getattr(Store, method)
    calls = 0

    def crash(self: Store, *arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls - 1 != at:
            return original(self, *arguments)
        if after:
            original(self, *arguments)
        raise error

    monkeypatch.setattr(Store, method, crash)


MOMENTS = [
    ("start_run", 0, True),
    ("write_model", 0, False),
    ("write_model", 0, True),
    ("commit", 2, False),
    *(("commit", place, True) for place in (0, 1, 2, 4)),
    ("end_run", 0, False),
]


@pytest.mark.parametrize(("method", "at", "after"), MOMENTS)
def test_a_run_that_breaks_off_at_any_write_is_continued_to_the_same_rows(
    method: str,
    at: int,
    after: bool,
    tmp_path: Path,
    finished: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as broken:
        crashing(broken, method, at, after=after, error=Killed)
        with pytest.raises(Killed):
            run(TINY, tmp_path)
    committed = len(batch_files(tmp_path))
    assert committed == (at + after if method == "commit" else 6 * (method == "end_run"))
    summary = run(TINY, tmp_path)
    assert summary.ok + summary.cached == TASKS
    assert everything(tmp_path) == everything(finished)
    assert len(batch_files(tmp_path)) == 6
    states = rows(tmp_path, "SELECT status FROM runs ORDER BY started")
    assert states == [("interrupted",), ("done",)]


def test_an_interruption_ends_the_run_in_order(tmp_path: Path, finished: Path) -> None:
    def interrupt(event: Event) -> None:
        if isinstance(event, BatchStarted) and event.kind == "retrain":
            raise KeyboardInterrupt

    summary = run(TINY, tmp_path, on_event=interrupt)
    assert summary.interrupted
    assert summary.ok == 2
    assert rows(tmp_path, "SELECT status, ok, skipped FROM runs") == [("interrupted", 2, 0)]
    summary = run(TINY, tmp_path)
    assert (summary.ok, summary.cached) == (TASKS - 2, 2)
    assert everything(tmp_path) == everything(finished)


def test_a_run_leaves_random_states_alone(tmp_path: Path) -> None:
    cold = {**TINY["procedures"]["warm"], "start": "cold", "replicates": 2}
    torch.manual_seed(1)
    np.random.seed(2)
    random.seed(3)
    states = torch.get_rng_state(), np.random.get_state()[1], random.getstate()
    run(changed(TINY, {"procedures.cold": cold, "datasets.s.standardize": "train"}), tmp_path)
    assert torch.equal(torch.get_rng_state(), states[0])
    np.testing.assert_array_equal(np.random.get_state()[1], states[1])
    assert random.getstate() == states[2]


def test_results_do_not_depend_on_random_states(tmp_path: Path, finished: Path) -> None:
    torch.manual_seed(4)
    np.random.seed(5)
    run(TINY, tmp_path)
    assert everything(tmp_path) == everything(finished)


def test_a_preview_computes_the_same_plan_and_stores_nothing(store: Path) -> None:
    files = {path: path.stat().st_mtime_ns for path in store.rglob("*") if path.is_file()}
    more = load(changed(TINY, {"repeats": 2}))
    found = preview(more, store, RunOptions(device="cpu"))
    rows_by_kind = {row.kind: (row.tasks, row.done, row.why) for row in found.summary.rows}
    assert rows_by_kind["retrain"] == (10, 5, "+1 repeat")
    assert found.predicted_seconds > 0
    assert {p: p.stat().st_mtime_ns for p in store.rglob("*") if p.is_file()} == files
    same = preview(load(TINY), store, RunOptions(device="cpu"))
    assert same.predicted_seconds == 0
    assert all(row.why == "done" for row in same.summary.rows)
    failed = preview(more, store, RunOptions(device="cpu", select=("kind:train",)))
    assert [row.kind for row in failed.summary.rows if row.tasks] == ["train"]


def test_cuda_where_there_is_none_is_said_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UsageError, match="no CUDA device"):
        runner.run_study(load(TINY), tmp_path / "r", RunOptions(device="cuda"), lambda event: None)
    assert not (tmp_path / "r").exists()
