"""A stack that is interrupted goes on inside itself and ends with the same bits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from fragility.execution import checkpoint
from fragility.numerics.convex import base
from fragility.numerics.descent import Descent
from fragility.numerics.stack import StackProblem
from tests.tiny import RIDGE, TINY, changed, everything, run

LONG = changed(
    TINY,
    {
        "training.adam.steps": 30,
        "procedures.warm.steps": 30,
        "procedures.warm.record_every": 7,
        "training.adam.schedule": {"kind": "plateau", "patience": 2},
    },
)
OPTIMIZERS: dict[str, dict[str, Any]] = {
    "adam": {"kind": "adam", "learning_rate": 0.05},
    "amsgrad": {"kind": "adam", "learning_rate": 0.05, "amsgrad": True},
    "momentum": {"kind": "sgd", "learning_rate": 0.05, "momentum": 0.9},
    "lbfgs": {"kind": "lbfgs"},
}


@pytest.fixture
def evaluations(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many evaluations of stacks are left before Ctrl-C, counted down; never from 0 down."""
    left = [0]
    evaluate = StackProblem.evaluate

    def counted(problem: StackProblem, theta: Any) -> Any:
        left[0] -= 1
        if left[0] == 0:
            raise KeyboardInterrupt
        return evaluate(problem, theta)

    monkeypatch.setattr(StackProblem, "evaluate", counted)
    # What a run predicts, it finds out by training a little.
    monkeypatch.setattr("fragility.execution.run.predict_seconds", lambda bench, batches: 0.0)
    return left


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_interrupted_stack_goes_on_inside_and_ends_with_the_same_bits(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, evaluations: list[int]
) -> None:
    # Saved at every step, so that an interruption loses none but the current one.
    monkeypatch.setattr(checkpoint, "INTERVAL_SECONDS", 0.0)
    study = changed(LONG, {"training.adam.optimizer": OPTIMIZERS[name]})
    run(study, tmp_path / "undisturbed")
    undisturbed = -evaluations[0]
    first, second = undisturbed // 4, undisturbed // 2
    for at in (first, second):
        evaluations[0] = at
        assert run(study, tmp_path / "cut").interrupted
        assert len(list((tmp_path / "cut" / "checkpoints").iterdir())) == 1
    evaluations[0] = 0
    assert not run(study, tmp_path / "cut").interrupted
    # Each resumption repeats the step it was interrupted in, at most with its line search.
    assert first + second - evaluations[0] <= undisturbed + 2 * 25
    assert everything(tmp_path / "cut") == everything(tmp_path / "undisturbed")
    assert not list((tmp_path / "cut" / "checkpoints").iterdir())


def test_a_damaged_checkpoint_only_costs_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, evaluations: list[int]
) -> None:
    monkeypatch.setattr(checkpoint, "INTERVAL_SECONDS", 0.0)
    run(LONG, tmp_path / "undisturbed")
    evaluations[0] = 30
    assert run(LONG, tmp_path / "cut").interrupted
    (saved,) = (tmp_path / "cut" / "checkpoints").iterdir()
    saved.write_bytes(saved.read_bytes()[:100])
    evaluations[0] = 0
    assert not run(LONG, tmp_path / "cut").interrupted
    assert everything(tmp_path / "cut") == everything(tmp_path / "undisturbed")


def test_what_another_version_left_only_costs_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, evaluations: list[int]
) -> None:
    monkeypatch.setattr(checkpoint, "INTERVAL_SECONDS", 0.0)
    run(LONG, tmp_path / "undisturbed")
    evaluations[0] = 30
    layout = checkpoint.LAYOUT
    monkeypatch.setattr(checkpoint, "LAYOUT", layout - 1)
    assert run(LONG, tmp_path / "cut").interrupted
    (saved,) = (tmp_path / "cut" / "checkpoints").iterdir()
    # As from a version whose trainings kept less.
    saved.write_bytes(safetensors.numpy.save({"step": np.array([7])}))
    evaluations[0] = 0
    monkeypatch.setattr(checkpoint, "LAYOUT", layout)
    assert not run(LONG, tmp_path / "cut").interrupted
    assert everything(tmp_path / "cut") == everything(tmp_path / "undisturbed")


def test_an_interrupted_newton_stack_goes_on_after_its_last_chunk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = changed(
        RIDGE,
        {
            "training": {"exact": {"kind": "newton"}},
            "procedures.warm.solver": "newton",
            "procedures.warm.record_every": 1,
        },
    )
    monkeypatch.setattr(checkpoint, "INTERVAL_SECONDS", 0.0)
    monkeypatch.setattr("fragility.execution.run.predict_seconds", lambda bench, batches: 0.0)
    # Every model is a chunk of its own.
    monkeypatch.setattr(base, "STACK_BYTES", 1)
    chunks = [0]
    solve = Descent.run

    def counted(descent: Descent, observe: Any) -> None:
        chunks[0] -= 1
        if chunks[0] == 0:
            raise KeyboardInterrupt
        solve(descent, observe)

    monkeypatch.setattr(Descent, "run", counted)
    run(study, tmp_path / "undisturbed")
    undisturbed = -chunks[0]
    for at in (7, 12):
        chunks[0] = at
        assert run(study, tmp_path / "cut").interrupted
        assert len(list((tmp_path / "cut" / "checkpoints").iterdir())) == 1
    chunks[0] = 0
    assert not run(study, tmp_path / "cut").interrupted
    # What an interruption loses is the chunk it came in.
    assert 6 + 11 - chunks[0] == undisturbed
    assert everything(tmp_path / "cut") == everything(tmp_path / "undisturbed")
    assert not list((tmp_path / "cut" / "checkpoints").iterdir())
