"""What a procedure objects to in a training is a problem of the study, with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from fragility.errors import StudyError
from fragility.study.load import load_text

STUDY = """\
study: objections
datasets: {iris: {kind: iris}}
models: {net: {kind: linear}}
training: {TRAINING}
procedures:
  warm:
    kind: leave_one_out
    train_points: {kind: all}
    test_points: {kind: all}
    FIELDS
"""
FULL = "full: {kind: full_batch, steps: 5}"
MINI = "mini: {kind: minibatch, batch_size: 8, epochs: 2}"
OWN = "mini: {kind: minibatch, batch_size: 8, epochs: 2, order: independent}"


def problems(training: str, fields: str, more: str = "") -> list[tuple[int, str, str]]:
    text = STUDY.replace("TRAINING", training).replace("FIELDS", fields) + more
    try:
        load_text(text, Path("study.yaml"))
    except StudyError as error:
        return [(p.line, p.path, p.message) for p in error.problems]
    return []


@pytest.mark.parametrize(
    ("training", "fields", "message"),
    [
        (FULL, "replicates: 2", "use `start: cold` or `replicates: 1`"),
        (MINI, "replicates: 2", "use `order: independent`, `start: cold` or `replicates: 1`"),
        (OWN, "{order: shared, replicates: 2}", "in a shared order"),
        (FULL, "order: shared", "draws no example order"),
        (FULL, "epochs: 3", "use `steps`"),
        (MINI, "steps: 3", "use `epochs`"),
        (f"{MINI}, {FULL}", "epochs: 3", "With training `full`"),
    ],
)
def test_what_makes_no_sense_with_the_training_is_refused_at_its_key(
    training: str, fields: str, message: str
) -> None:
    if fields.startswith("{"):
        fields = "\n    ".join(fields.strip("{}").split(", "))
    ((line, path, text),) = problems(training, fields)
    assert path == "procedures.warm"
    assert line >= 10
    assert message in text


@pytest.mark.parametrize(
    ("training", "fields"),
    [
        (OWN, "replicates: 2"),
        (MINI, "{order: independent, replicates: 2}"),
        (MINI, "{start: cold, replicates: 2}"),
        (FULL, "{start: cold, replicates: 2}"),
        (f"{MINI}, {FULL}", "{epochs: 3, steps: 4}"),
    ],
)
def test_what_makes_sense_is_let_through(training: str, fields: str) -> None:
    assert problems(training, "\n    ".join(fields.strip("{}").split(", "))) == []


def test_values_swept_together_are_judged_together() -> None:
    together = """
sweep:
  - training.mini.order: [shared, independent]
    procedures.warm.replicates: [1, 4]
"""
    crossed = """
sweep:
  training.mini.order: [shared, independent]
  procedures.warm.replicates: [1, 4]
"""
    assert problems(MINI, "record_every: 0", together) == []
    ((_, _, text),) = problems(MINI, "record_every: 0", crossed)
    assert "deterministic" in text
