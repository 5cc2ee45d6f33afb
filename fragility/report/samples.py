"""Scores beside the effects of one procedure, over the repeats of an arm."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from fragility.report.averages import FEWEST_PAIRS, Sample, own
from fragility.report.grids import Positions, shared
from fragility.store import noise_queries as ask

if TYPE_CHECKING:
    from fragility.report.context import Combination, Context


def sample(context: Context, combination: Combination) -> Sample | None:
    """Returns the scores and effects of the repeats in which enough was measured."""
    pairs, keys = [], []
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
            keys.append(key)
    if not pairs:
        return None
    tests_of, removed_of, scores_of, effects_of = zip(*pairs, strict=True)
    strata = _strata(context, keys[0], removed_of[0])
    return Sample(scores_of, effects_of, own(tests_of), own(removed_of), strata)


def _strata(
    context: Context, key: tuple[str, str], removed: Positions
) -> tuple[tuple[int, ...], ...]:
    """Returns the places of the removals of each probability, where they were drawn within strata.

    None where a removal was drawn otherwise, or a stratum holds a single one.
    """
    known = {
        row["point"]: row["probability"]
        for row in context.source.ask(ask.STRATA)
        if (row["cell_id"], row["procedure"]) == key
    }
    if not all(int(point) in known for point in removed):
        return ()
    places: dict[float, list[int]] = defaultdict(list)
    for place, point in enumerate(removed):
        places[known[int(point)]].append(place)
    strata = tuple(tuple(places[probability]) for probability in sorted(places))
    return strata if len(strata) > 1 and min(map(len, strata)) > 1 else ()
