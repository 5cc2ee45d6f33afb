"""The installed command: killed, interrupted, misused, and each time as if nothing had been."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fragility.store import Store
from tests.cli.test_main import code_of
from tests.tiny import TINY, changed, everything, plan, rows, run

FRAGILITY = Path(sys.executable).with_name("fragility")
STUDY = changed(
    TINY,
    {
        "repeats": 2,
        "models.linear": {"kind": "linear"},
        "procedures.cold": {**TINY["procedures"]["warm"], "start": "cold", "replicates": 2},
    },
)
Event = dict[str, Any]


def write(study: Any, folder: Path) -> Path:
    file = folder / "study.yaml"
    file.write_text(json.dumps(study))
    return file


def start(file: Path, store: Path, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [FRAGILITY, "run", file, "--store", store, "--device", "cpu", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=file.parent,
        env={**os.environ, **environment},
        # In the background, tests inherit that Ctrl-C is ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def stop_at(
    process: subprocess.Popen[str], with_signal: int, moment: Callable[[Event], bool]
) -> str:
    """Sends a signal as soon as an event says that it is the moment; returns what stderr said."""
    assert process.stdout is not None
    for line in process.stdout:
        if moment(json.loads(line)):
            process.send_signal(with_signal)
            break
    else:
        pytest.fail("the run was over too soon")
    _, errors = process.communicate(timeout=60)
    return errors


def begins(kind: str) -> Callable[[Event], bool]:
    return lambda event: event["event"] == "batch_started" and event["kind"] == kind


def ends(kind: str) -> Callable[[Event], bool]:
    return lambda event: event["event"] == "batch_finished" and event["kind"] == kind


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    root = tmp_path_factory.mktemp("undisturbed")
    run(STUDY, root)
    return everything(root)


def test_a_killed_run_goes_on_to_the_same_rows(
    tmp_path: Path, undisturbed: dict[str, list[str]]
) -> None:
    """Each process finds what the one before it stored: ids are the same everywhere."""
    file, store = write(STUDY, tmp_path), tmp_path / "results"
    moments = [ends("retrain"), begins("measure")]
    for number, moment in enumerate(moments):
        process = start(file, store, PYTHONHASHSEED=str(number + 1))
        stop_at(process, signal.SIGKILL, moment)
        assert process.returncode == -signal.SIGKILL
    summary = run(STUDY, store)
    assert summary.failed == 0
    # Killed as late as at the agreements, the base models and retrainings must be there.
    assert summary.cached >= sum(plan(STUDY).counts()[kind] for kind in ("train", "retrain"))
    assert everything(store) == undisturbed
    states = rows(store, "SELECT status, count(*) FROM runs GROUP BY ALL ORDER BY ALL")
    assert states == [("done", 1), ("interrupted", len(moments))]


def test_ctrl_c_is_130_and_the_same_command_continues(tmp_path: Path) -> None:
    endless = {**TINY["procedures"]["warm"], "parameters": "last_layer", "steps": 10_000_000}
    study = changed(TINY, {"procedures.endless": endless})
    file, store = write(study, tmp_path), tmp_path / "results"
    retrained = 0

    def in_the_endless_one(event: Event) -> bool:
        nonlocal retrained
        retrained += begins("retrain")(event)
        return retrained == 2

    process = start(file, store)
    errors = stop_at(process, signal.SIGINT, in_the_endless_one)
    assert process.returncode == 130
    assert "Traceback" not in errors
    assert rows(store, "SELECT status, ok, failed, skipped FROM runs") == [("interrupted", 7, 0, 0)]
    summary = run(study, store, exclude=("procedure:endless",))
    assert (summary.ok, summary.failed, summary.skipped) == (3, 0, 0)
    assert not summary.interrupted


GOOD = """\
study: broken
datasets:
  iris: {kind: iris, hold_out: [83]}
models:
  linear: {kind: linear}
training:
  lbfgs: {kind: full_batch, optimizer: {kind: lbfgs}, steps: 20}
estimators:
  exact: {kind: exact, damping: 0.1}
procedures:
  warm:
    kind: leave_one_out
    train_points: {kind: indices, indices: [0, 1]}
    test_points: {kind: all}
"""
BROKEN = {
    "empty": ("", ""),
    "not a mapping": ("- 1\n- 2\n", "expected a mapping"),
    "not YAML": ("study: [1, 2\n", "study.yaml:"),
    "binary": ("\x00\x01\x02", ""),
    "a tag": ("study: !!python/object/apply:os.system [ls]\n", ""),
    "duplicate key": (GOOD + "study: twice\n", "study.yaml:15:1"),
    "misspelt key": (GOOD.replace("damping", "dampng"), "Did you mean `damping`?"),
    "misspelt kind": (GOOD.replace("kind: iris", "kind: irsi"), "Did you mean `iris`?"),
    "nothing but a name": ("study: alone\n", "datasets"),
    "wrong type": (GOOD.replace("steps: 20", "steps: many"), "study.yaml:7:"),
    "negative": (GOOD.replace("steps: 20", "steps: -1"), "study.yaml:7:"),
    "infinite": (GOOD.replace("damping: 0.1", "damping: .inf"), "study.yaml:9:"),
    "unknown estimator": (
        GOOD.replace("{kind: indices, indices: [0, 1]}", "{kind: top_score, estimator: exat}"),
        "Did you mean `exact`?",
    ),
    "nothing swept": (GOOD + "sweep: {models.linear.depth: [1, 2]}\n", "study.yaml:15:"),
    "swept with nothing": (GOOD + "sweep: {estimators.exact.damping: []}\n", "study.yaml:15:"),
    "too many points": (
        GOOD.replace("{kind: indices, indices: [0, 1]}", "{kind: random, count: 500}"),
        "`random` asks for 500 points, but there are 149",
    ),
    "a row that is not there": (GOOD.replace("[83]", "[150]"), "`hold_out` names row 150"),
    "no such file": (
        GOOD.replace(
            "{kind: iris, hold_out: [83]}",
            "{kind: csv, path: no.csv, label: y, task: regression, test_fraction: 0.2}",
        ),
        "There is no file",
    ),
    "too deep": ("study: " + "[" * 5000 + "\n", ""),
}


@pytest.mark.parametrize(("text", "message"), BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_study_is_explained_without_a_traceback(
    text: str,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("study.yaml").write_text(text)
    for command in ("run", "plan"):
        assert code_of(command, "study.yaml") == 2
        output = capsys.readouterr()
        assert output.out == ""
        assert message in output.err
        assert output.err.strip()
        assert "Traceback" not in output.err
        assert "bug" not in output.err
    assert not Path("results").exists()


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    text = GOOD.replace("dampng", "damping").replace("kind: iris", "kind: irsi")
    text = text.replace("steps: 20", "steps: -1").replace("damping", "dampng")
    (tmp_path / "study.yaml").write_text(text)
    done = subprocess.run(
        [FRAGILITY, "run", "study.yaml"], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    for line in ("study.yaml:3:", "study.yaml:7:", "study.yaml:9:", "3 problems. Nothing was run."):
        assert line in done.stderr


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    return str(write(TINY, tmp_path))


def test_a_store_that_another_run_writes_to_is_3(
    small: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with Store.open(Path("results"), write=True):
        assert code_of("run", small) == 3
    errors = capsys.readouterr().err
    assert f"is being written to by process {os.getpid()}" in errors
    assert code_of("run", small, "--quiet") == 0


def test_a_store_that_cannot_be_written_is_3(
    small: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("file").write_text("")
    assert code_of("run", small, "--store", "file/results") == 3
    assert "cannot be written" in capsys.readouterr().err


def test_a_damaged_log_is_3_and_names_the_file(
    small: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert code_of("run", small, "--quiet") == 0
    shutil.rmtree("results/models")
    record = min(Path("results/log").glob("*.safetensors"))
    record.write_bytes(b"\0" * 64)
    for database in Path("results").glob("fragility.duckdb*"):
        database.unlink()
    capsys.readouterr()
    assert code_of("run", small) == 3
    errors = capsys.readouterr().err
    assert record.name in errors
    assert "bug" not in errors


def test_a_failed_study_is_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    hasty = {"kind": "sgd", "learning_rate": 1e200}
    study = str(write(changed(TINY, {"training.adam.optimizer": hasty}), tmp_path))
    assert code_of("run", study) == 1
    output = capsys.readouterr()
    assert "FAILED train net: training diverged" in output.err
    assert "OK=0 CACHED=0 FAILED=1 SKIPPED=9" in output.out.splitlines()[-1]


def test_a_study_runs_twice_and_the_second_time_it_is_there_already(
    small: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert code_of("run", small) == 0
    assert "OK=10 CACHED=0 FAILED=0 SKIPPED=0" in capsys.readouterr().out
    assert code_of("run", small) == 0
    assert "OK=0 CACHED=10 FAILED=0 SKIPPED=0" in capsys.readouterr().out
    assert code_of("plan", small) == 0
    assert "All done: a run computes nothing." in capsys.readouterr().out
    assert code_of("report") == 0
    assert (
        Path(capsys.readouterr().out.strip()).read_text().lstrip().lower().startswith("<!doctype")
    )
