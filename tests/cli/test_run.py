"""What `run` prints and returns, without running anything."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from fragility.execution import pilot
from fragility.execution.events import Failure, Listener, PlanReady, RunFinished, RunSummary
from fragility.execution.run import RunOptions
from fragility.study.load import LoadedStudy
from tests.cli import small
from tests.cli.test_main import code_of

DONE = RunSummary(
    run_id=small.NEW,
    study="iris",
    ok=1830,
    cached=2,
    failed=0,
    skipped=0,
    seconds=29.3,
    predicted_seconds=None,
    peak_memory=900_000_000,
    failures=(),
    interrupted=False,
)
FAILED = replace(
    DONE, failed=12, failures=tuple(Failure(f"t{i}", "retrain", "iris", "no") for i in range(12))
)
Started = list[tuple[LoadedStudy, Path, RunOptions]]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Runs are only made to end here: nothing writes to it."""
    root = tmp_path_factory.mktemp("written") / "results"
    small.write(root)
    return str(root)


@pytest.fixture
def pretend(monkeypatch: pytest.MonkeyPatch) -> Callable[[RunSummary], Started]:
    """Makes every run end with a given summary; what it was started with is kept."""

    def end_with(summary: RunSummary) -> Started:
        started: Started = []

        def run_study(
            loaded: LoadedStudy,
            root: Path,
            options: RunOptions,
            on_event: Listener,
            before: Callable[[], None] | None,
        ) -> RunSummary:
            started.append((loaded, root, options))
            on_event(PlanReady("iris", "r", {"train": 2}, {"train": 0}, 31.0))
            on_event(RunFinished(summary))
            return summary

        monkeypatch.setattr(pilot, "run_study", run_study)
        return started

    return end_with


Pretend = Callable[[RunSummary], Started]


def test_a_run_ends_with_agreement_the_next_step_and_the_counts(
    pretend: Pretend, store: str, capsys: pytest.CaptureFixture[str]
) -> None:
    pretend(DONE)
    assert code_of("run", "quickstart", "--store", store) == 0
    output = capsys.readouterr()
    header, row, verdict, report, last = output.out.splitlines()
    assert header.split()[:4] == ["arm", "estimator", "procedure", "Pearson"]
    assert row.split() == [
        *("mlp", "exact", "warm", "0.50", "[.40,.60]", "0.50", "[.40,.60]"),
        *("0.50", "-", "same", "parameters"),
    ]
    assert verdict.split()[:4] == ["verdict", "mlp", "exact", "cannot"]
    assert report == f"Report: fragility report iris --store {store}  (--open shows it)"
    assert last == "Done. OK=1830 CACHED=2 FAILED=0 SKIPPED=0 in 29 s, peak 0.9 GB"
    assert output.err.splitlines() == ["iris: 2 tasks, about 31 s  (run r)"]


@pytest.mark.parametrize(
    ("summary", "code"),
    [
        (DONE, 0),
        (FAILED, 1),
        (replace(DONE, skipped=1), 1),
        (replace(FAILED, interrupted=True), 130),
    ],
)
def test_exit_codes(summary: RunSummary, code: int, pretend: Pretend, store: str) -> None:
    pretend(summary)
    assert code_of("run", "quickstart", "--store", store) == code


def test_a_run_that_a_bug_ended_is_told_from_one_whose_tasks_failed(
    monkeypatch: pytest.MonkeyPatch, store: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def run_study(*_: object) -> RunSummary:
        raise KeyError("slot")

    monkeypatch.setattr(pilot, "run_study", run_study)
    assert code_of("run", "quickstart", "--store", store) == 70
    assert capsys.readouterr().err.startswith("This is a bug in fragility: KeyError: ")


def test_failures_are_repeated_on_stderr_and_folded(
    pretend: Pretend, store: str, capsys: pytest.CaptureFixture[str]
) -> None:
    pretend(FAILED)
    code_of("run", "quickstart", "--store", store)
    output = capsys.readouterr()
    assert output.err.count("FAILED retrain iris: no") == 10
    assert output.err.splitlines()[-1] == "and 2 failures more, all in the report"
    assert "FAILED=12" in output.out.splitlines()[-1]


def test_quiet_prints_the_last_line_only(
    pretend: Pretend, store: str, capsys: pytest.CaptureFixture[str]
) -> None:
    pretend(DONE)
    code_of("run", "quickstart", "--store", store, "--quiet")
    output = capsys.readouterr()
    assert output.err == ""
    assert [line[:5] for line in output.out.splitlines()] == ["Done."]


def test_json_has_stdout_for_itself(
    pretend: Pretend, store: str, capsys: pytest.CaptureFixture[str]
) -> None:
    pretend(FAILED)
    assert code_of("run", "quickstart", "--store", store, "--json") == 1
    output = capsys.readouterr()
    objects = [json.loads(line) for line in output.out.splitlines()]
    assert [o["event"] for o in objects] == ["plan_ready", "run_finished"]
    assert objects[-1]["summary"]["failed"] == 12
    (told,) = objects[-1]["summary"]["verdicts"]
    assert (told["arm"], told["estimator"], told["verdict"]) == ("mlp", "exact", "cannot tell")
    assert output.err == ""


def test_options_reach_the_run(pretend: Pretend, store: str) -> None:
    started = pretend(DONE)
    code_of(
        *("run", "quickstart", "--store", store, "--set", "models.mlp.hidden=[3]"),
        *(
            "--repeats",
            "2",
            "--device",
            "cpu",
            "--select",
            "kind:train",
            "--select",
            "kind:measure",
        ),
        *("--exclude", "cell:mlp", "--only-failed", "--fail-fast", "--allow-code"),
    )
    ((loaded, root, options),) = started
    assert root == Path(store)
    assert loaded.overrides == ("models.mlp.hidden=[3]", "repeats=2")
    assert loaded.study.repeats == 2
    assert options.device == "cpu"
    assert options.select == ("kind:train", "kind:measure")
    assert options.exclude == ("cell:mlp",)
    assert options.only_failed
    assert options.fail_fast
    assert options.allow_code


@pytest.mark.parametrize("arguments", [("--device", "tpu"), ("--repeats", "0"), ("--dryrun",)])
def test_usage_errors_are_2(arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert code_of("run", "quickstart", *arguments) == 2
    assert capsys.readouterr().out == ""
