"""The controls come before a study, once, and say how they came out in one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fragility.execution import controls
from fragility.execution.events import RunSummary
from fragility.store import queries
from tests.cli.test_main import code_of
from tests.tiny import TINY, changed

STUDY = changed(TINY, {"controls": True})


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.yaml").write_text(json.dumps(STUDY))
    return "tiny.yaml"


def runs(store: str) -> list[tuple[object, ...]]:
    return queries.query(Path(store), "SELECT study, status FROM runs ORDER BY started").rows


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A store in which all is done."""
    root = tmp_path_factory.mktemp("measured")
    (root / "tiny.yaml").write_text(json.dumps(STUDY))
    code_of("run", str(root / "tiny.yaml"), "--store", str(root / "results"), "--quiet")
    return str(root / "results")


@pytest.fixture
def again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes the controls as good as measured anew."""
    done = RunSummary("r", "controls-network", 3, 0, 0, 0, 2.5, None, 0, (), interrupted=False)
    monkeypatch.setattr(controls, "run_controls", lambda root, options: [done])


def test_controls_are_measured_first_and_only_once(
    study: str, measured: str, capsys: pytest.CaptureFixture[str]
) -> None:
    both = [("controls-convex", "done"), ("controls-network", "done")]
    assert runs(measured)[:3] == [*both, ("tiny", "done")]
    before = len(runs(measured))
    assert code_of("run", study, "--store", measured) == 0
    assert "controls" not in capsys.readouterr().err
    assert runs(measured)[before:] == [("tiny", "done")]
    assert code_of("plan", study, "--store", measured) == 0
    assert "controls" not in capsys.readouterr().out


@pytest.mark.usefixtures("again")
def test_one_line_says_how_they_came_out(
    study: str, measured: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert code_of("run", study, "--store", measured) == 0
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "controls: 10 of 10 passed in 2.5 s"
    assert lines[1].startswith("tiny: all 10 tasks done before")
    assert code_of("run", study, "--store", measured, "--quiet") == 0
    assert capsys.readouterr().err == ""


@pytest.mark.usefixtures("again")
def test_events_are_json_and_the_controls_are_one_of_them(
    study: str, measured: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert code_of("run", study, "--store", measured, "--json") == 0
    output = capsys.readouterr()
    events = [json.loads(line) for line in output.out.splitlines()]
    assert events[0] == {"event": "controls_run", "controls": 10, "failed": []}
    assert events[1]["event"] == "plan_ready"
    assert output.err == ""


@pytest.mark.usefixtures("again")
def test_a_failed_control_is_named_and_stops_nothing(
    study: str, measured: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("fragility.report.control_rules.SAME", 0.0)
    assert code_of("run", study, "--store", measured) == 0
    output = capsys.readouterr()
    assert output.err.splitlines()[0] == "controls: 9 of 10 passed in 2.5 s; failed: Copies"
    assert output.out.splitlines()[-1].startswith("Done. OK=0 CACHED=10")


def test_an_interruption_of_the_controls_is_one_of_the_run(
    study: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    halted = RunSummary("r", "controls-convex", 3, 0, 0, 0, 1.0, None, 0, (), interrupted=True)
    monkeypatch.setattr(controls, "run_study", lambda *arguments: halted)
    assert code_of("run", study) == 130
    output = capsys.readouterr()
    assert "The same command continues where it stopped." in output.err
    assert output.out == ""


def test_a_study_that_is_not_in_order_measures_no_controls(
    study: str, capsys: pytest.CaptureFixture[str]
) -> None:
    fields = (
        "datasets.s={kind: csv, path: none.csv, label: y, task: regression, test_fraction: 0.2}"
    )
    assert code_of("run", study, "--set", fields) == 2
    assert "none.csv" in capsys.readouterr().err
    assert not Path("results").exists()
