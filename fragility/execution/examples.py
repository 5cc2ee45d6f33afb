"""Keeps what examples look like that a reader will want to see: those that tests and scores name.

Only the first repeat of a setting keeps them: its repeats share their data.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from fragility.datasets._appearance import Appearance, Part
from fragility.datasets.base import Data
from fragility.errors import DataError
from fragility.execution.outcome import Outcome
from fragility.execution.workbench import Workbench
from fragility.numerics.evaluate import features_of
from fragility.plan.tasks import PlannedCell, Task

TOP = 8
"""Training examples of the highest, and of the lowest, scores that are kept for a test example."""

MOST_TESTS = 24
"""Test examples that are kept, evenly spaced from the lowest loss to the highest."""

MOST_REMOVED = 256
"""Removed training examples up to which all are kept, whatever their effects."""

Positions = NDArray[np.int64]
_NOTHING = Appearance(None, None, None)


def keep_scored(
    outcome: Outcome,
    bench: Workbench,
    task: Task,
    position: int,
    tests: Positions,
    scores: NDArray[np.float64],
) -> None:
    """Adds the test examples, and the training examples that `scores` (T, n) put first or last."""
    planned = bench.cell(task)
    if planned.cell.repeat:
        return
    shown = _spread(bench, planned, tests)
    found = extremes(scores[shown])
    _add(outcome, bench, planned, position, tests[shown], found)


def keep_removed(
    outcome: Outcome,
    bench: Workbench,
    task: Task,
    position: int,
    tests: Positions,
    removed: Positions,
    effects: NDArray[np.float64],
) -> None:
    """Adds the test examples and removed training examples (S,): all, or by mean effect (T, S)."""
    planned = bench.cell(task)
    if planned.cell.repeat:
        return
    shown = _spread(bench, planned, tests)
    if len(removed) > MOST_REMOVED:
        removed = removed[extremes(effects[shown])]
    _add(outcome, bench, planned, position, tests[shown], np.unique(removed))


def extremes(values: NDArray[np.float64]) -> Positions:
    """Returns the columns, ascending, that are among the `TOP` highest or lowest of some row.

    Of equal values the first column comes first. Values that are not finite are none.
    """
    found: list[Positions] = [np.empty(0, dtype=np.int64)]
    for row in values:
        known = np.flatnonzero(np.isfinite(row))
        for signed in (row[known], -row[known]):
            found.append(known[np.argsort(signed, kind="stable")[:TOP]])
    return np.unique(np.concatenate(found))


def _spread(bench: Workbench, planned: PlannedCell, tests: Positions) -> Positions:
    """Returns which of the test points are kept, as places in `tests`."""
    order = np.argsort(bench.base_losses(planned)["test_loss"][tests], kind="stable")
    if len(order) <= MOST_TESTS:
        return order
    return order[np.linspace(0, len(order) - 1, MOST_TESTS).round().astype(np.int64)]


def _add(
    outcome: Outcome,
    bench: Workbench,
    planned: PlannedCell,
    position: int,
    tests: Positions,
    trained: Positions,
) -> None:
    dataset, seed = planned.cell.dataset, planned.cell.seed
    data = bench.catalog.data(dataset, seed)
    predictions = _predictions(bench, planned, data, tests)
    parts: tuple[tuple[Part, Positions, Sequence[str | None]], ...] = (
        ("test", tests, predictions),
        ("train", trained, [None] * len(trained)),
    )
    for part, points, predicted in parts:
        if not len(points):
            continue
        try:
            looks = bench.catalog.appearances(dataset, seed, part, points)
        except DataError:
            # A study does not fail for a picture of what it has already read.
            looks = [_NOTHING] * len(points)
        examples = data.train if part == "train" else data.test
        targets = examples.targets[points]
        outcome.add(
            "example_facts",
            position,
            split=part,
            point=points,
            source_row=examples.rows[points],
            file=[look.file for look in looks],
            label=[_label(data, target) for target in targets],
            target=targets if data.task == "classification" else None,
            prediction=list(predicted),
            features=[look.features for look in looks],
            picture=[look.picture for look in looks],
        )


def _predictions(
    bench: Workbench, planned: PlannedCell, data: Data, tests: Positions
) -> list[str | None]:
    """Returns what the base model makes of test examples, in words of the dataset."""
    inputs = bench.examples(planned, planned.cell.training.torch_dtype).test_inputs
    at = torch.from_numpy(tests).to(bench.device)
    outputs = bench.loss(planned).predicted(
        features_of(bench.network(planned), bench.parameters(planned), inputs[at])
    )
    found = outputs.argmax(dim=-1) if data.task == "classification" else outputs
    return [_label(data, one) for one in found.double().cpu().numpy()]


def _label(data: Data, target: NDArray[np.generic]) -> str:
    """Returns the class's name, or the numbers to predict."""
    if data.task == "classification":
        return data.classes[int(target)]
    return ", ".join(f"{value:.6g}" for value in np.ravel(target))
