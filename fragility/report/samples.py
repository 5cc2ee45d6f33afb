"""Scores beside the effects of one procedure, over the repeats of an arm."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fragility.report.averages import FEWEST_PAIRS, Sample, own
from fragility.report.grids import shared

if TYPE_CHECKING:
    from fragility.report.context import Combination, Context


def sample(context: Context, combination: Combination) -> Sample | None:
    """Returns the scores and effects of the repeats in which enough was measured."""
    pairs = []
    for cell in context.cells:
        key = (cell["cell_id"], combination.procedure)
        if cell["arm"] != combination.arm or key not in context.grids.effects:
            continue
        effects = context.grids.effects[key]
        scores = context.grids.scores.get((cell["cell_id"], combination.estimator, effects.group))
        if scores is None:
            continue
        tests, removed = shared([scores, effects])
        if tests.size and removed.size >= FEWEST_PAIRS:
            at = [grid.at(tests, removed) for grid in (scores, effects)]
            pairs.append((tests, removed, at[0][0], at[1]))
    if not pairs:
        return None
    tests_of, removed_of, scores_of, effects_of = zip(*pairs, strict=True)
    return Sample(scores_of, effects_of, own(tests_of), own(removed_of))
