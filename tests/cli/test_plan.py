import json
import re
from pathlib import Path

import pytest

from fragility.cli.plan import render
from fragility.plan.summary import PlanSummary, SummaryRow, summarize
from tests.cli.test_main import code_of
from tests.tiny import TINY, changed
from tests.tiny import plan as compiled

ROWS = (
    SummaryRow("train", 800, 16, 48_000_000, 0, "new"),
    SummaryRow("estimate", 800, 16, 0, 800, "done"),
    SummaryRow("diagnose", 0, 0, 0, 0, "none asked for"),
)
SUMMARY = PlanSummary("iris-depth", 16, 50, 800, 20_000, 800, ROWS, ())
STUDY = """\
study: tiny
controls: false
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


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.yaml").write_text(STUDY)
    return "tiny.yaml"


def test_the_table_of_a_plan() -> None:
    assert render(SUMMARY, 2460.0, 2).splitlines() == [
        "iris-depth: 16 cells x 50 repeats = 800 base models, 20,000 retrainings + 800 placebos",
        "  task      tasks  batches  gradients at most  done  why",
        "  train       800       16         48,000,000     0  new",
        "  estimate    800       16                  -   800  done",
        "2 threads: about 41 min 0 s",
    ]


def test_one_of_each_is_singular() -> None:
    rows = (SummaryRow("train", 1, 1, 0, 1, "done"),)
    assert render(PlanSummary("s", 1, 1, 1, 0, 0, rows, ()), 0.0, 1).splitlines() == [
        "s: 1 cell = 1 base model",
        "  task   tasks  batches  gradients at most  done  why",
        "  train      1        1                  -     1  done",
        "All done: a run computes nothing.",
    ]


def test_planning_computes_and_stores_nothing(
    study: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert code_of("plan", study) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "tiny: 1 cell = 1 base model, 2 retrainings + 1 placebo"
    assert lines[2].split() == ["train", "1", "1", "20", "0", "new"]
    assert [path.name for path in Path().iterdir()] == [study]


def test_a_plan_is_saved_as_a_file_and_printed_as_json(
    study: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert code_of("plan", study, "--json", "--out", "plan.json") == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["retrainings"] == 2
    assert summary["predicted_seconds"] > 0
    saved = json.loads(Path("plan.json").read_text())
    assert sum(task["kind"] == "retrain" for task in saved["tasks"]) == 3


def test_a_dry_run_is_the_plan_of_what_is_selected(
    study: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert code_of("run", study, "--dry-run", "--select", "kind:train") == 0
    kinds = [line.split()[0] for line in capsys.readouterr().out.splitlines()[2:-1]]
    assert kinds == ["train"]
    assert not Path("results").exists()


def test_a_plan_says_that_controls_come_first(
    study: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert code_of("plan", study, "--set", "controls=true") == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert re.fullmatch(r"Before it, the controls: \d\d\d tasks, a few seconds \(.*\)", last)
    assert code_of("plan", study, "--set", "controls=true", "--json") == 0
    assert json.loads(capsys.readouterr().out)["controls"] > 100
    assert code_of("plan", study, "--json") == 0
    assert json.loads(capsys.readouterr().out)["controls"] == 0


def test_an_empty_selection_is_an_error_with_the_nearest_name(
    study: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert code_of("run", study, "--dry-run", "--select", "kind:retrian") == 2
    assert "Did you mean `retrain`?" in capsys.readouterr().err


def test_a_plan_says_what_retraining_with_frozen_parameters_computes() -> None:
    last = {**TINY["procedures"]["warm"], "parameters": "last_layer"}
    bias = {**TINY["procedures"]["warm"], "parameters": ["1.bias"]}
    study = changed(TINY, {"procedures.last": last, "procedures.bias": bias})
    notes = summarize(compiled(study), frozenset(), None).notes
    assert notes == (
        "last, net: the frozen prefix runs once a base model; retrainings see its 3 features",
        "bias, net: every retraining step runs the whole network, because its frozen parameters "
        "are not a prefix of a sequence of layers",
    )


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, False),
        ({"training.adam.schedule": {"kind": "plateau"}}, False),
        ({"training.adam.schedule": {"kind": "plateau", "stop_at_floor": True}}, True),
        ({"regularization": {"stop": {"kind": "early_stopping", "patience": 3}}}, True),
    ],
)
def test_a_plan_says_that_trainings_may_end_before_their_limit(
    changes: dict[str, object], said: bool
) -> None:
    notes = summarize(compiled(changed(TINY, changes)), frozenset(), None).notes
    assert any("adam: trainings may end before their limit" in note for note in notes) == said
