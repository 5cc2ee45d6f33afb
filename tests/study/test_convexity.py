"""Newton's method on a model that is not convex is a problem of the study, with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from fragility.errors import StudyError
from fragility.study.load import load_text

STUDY = """\
study: convexity
datasets: {iris: {kind: iris}}
models:
  MODEL
training:
  base:
    kind: TRAINING
    steps: 5
procedures:
  warm:
    kind: leave_one_out
    train_points: {kind: all}
    test_points: {kind: all}
    solver: SOLVER
    parameters: PARAMETERS
"""
LINEAR = "net: {kind: linear}"
MLP = "net: {kind: mlp, hidden: [3]}"
BOTH = "net: {kind: linear}\n  deep: {kind: mlp, hidden: [3]}"


def problems(
    model: str,
    training: str = "full_batch",
    solver: str = "training",
    parameters: str = "all",
    more: str = "",
) -> list[tuple[int, int, str, str]]:
    text = STUDY.replace("MODEL", model).replace("TRAINING", training)
    text = text.replace("SOLVER", solver).replace("PARAMETERS", parameters) + more
    try:
        load_text(text, Path("study.yaml"))
    except StudyError as error:
        return [(p.line, p.column, p.path, p.message) for p in error.problems]
    return []


def test_a_training_says_which_model_and_what_to_do() -> None:
    ((line, column, path, text),) = problems(MLP, training="newton")
    assert (line, column, path) == (7, 5, "training.base")
    assert text == (
        "With model `net`: `kind: newton` goes to the one optimum of a convex objective, and a "
        "model `mlp` has many. Train it another way, or use the model `linear`; a procedure can "
        "still retrain its last layer by `solver: newton` with `parameters: last_layer`."
    )


def test_a_procedure_says_which_model_and_what_to_do() -> None:
    ((line, column, path, text),) = problems(MLP, solver="newton")
    assert (line, column, path) == (14, 5, "procedures.warm")
    assert text == (
        "With model `net`: `solver: newton` needs a convex objective, and a model `mlp` is convex "
        "in its last layer alone. Add `parameters: last_layer`, or use `solver: training`."
    )


def test_one_model_of_several_is_enough() -> None:
    line = BOTH.count("\n")
    assert [p[:3] for p in problems(BOTH, training="newton")] == [(7 + line, 5, "training.base")]


@pytest.mark.parametrize(
    ("model", "training", "solver", "parameters"),
    [
        (LINEAR, "newton", "newton", "all"),
        (LINEAR, "newton", "training", "all"),
        (LINEAR, "full_batch", "newton", "all"),
        (MLP, "full_batch", "newton", "last_layer"),
        (BOTH, "full_batch", "newton", "last_layer"),
    ],
)
def test_convex_objectives_are_let_through(
    model: str, training: str, solver: str, parameters: str
) -> None:
    assert problems(model, training, solver, parameters) == []


def test_every_combination_of_swept_values_is_looked_at() -> None:
    crossed = """
sweep:
  procedures.warm.solver: [training, newton]
  procedures.warm.parameters: [last_layer, all]
"""
    together = """
sweep:
  - procedures.warm.solver: [training, newton]
    procedures.warm.parameters: [all, last_layer]
"""
    assert [p[2] for p in problems(MLP, more=crossed)] == ["procedures.warm"]
    assert problems(MLP, more=together) == []
