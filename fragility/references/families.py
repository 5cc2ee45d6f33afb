"""A published family as a whole: its settings taken together, by the same rules.

A single setting of 50 published runs leaves a correlation's median open by about 0.1; a family of
eight leaves their average open by a third of that.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np

from fragility.identity import derive_seed
from fragility.references.comparison import (
    AGREES,
    BOTH_AT_CHANCE,
    CANNOT_TELL,
    DIFFERS,
    MARGINS,
    Held,
    Sample,
    Verdict,
    at_chance,
    units,
)
from fragility.references.declared import Quantity
from fragility.statistics.multiplicity import holm
from fragility.statistics.stratified import average_median_difference, van_elteren
from fragility.statistics.two_samples import FEWEST, LEVEL, CorrectedTest

K = TypeVar("K")


def taken_together(groups: Mapping[K, Sequence[Held]], seed: int) -> dict[K, Held]:
    """Returns one comparison a group, of the settings that have five runs or more on both sides.

    Groups with fewer than two such settings are left out. The difference is the mean over settings
    of that of medians, the median of a side the mean over settings (of eigenvalues the geometric
    one), the test van Elteren's, corrected (Holm) over the groups of the same quantity.
    """
    kept = {key: [one for one in held if usable(one)] for key, held in groups.items()}
    found = {key: _together(held, seed) for key, held in kept.items() if len(held) > 1}
    families: dict[Quantity, list[K]] = defaultdict(list)
    for key, (held, _) in found.items():
        families[held.quantity].append(key)
    outcome: dict[K, Held] = {}
    for members in families.values():
        corrected = holm([found[key][1] for key in members])
        for key, q in zip(members, corrected, strict=True):
            held, p = found[key]
            outcome[key] = _judged(held, CorrectedTest(p, float(q)))
    return {key: outcome[key] for key in found}


def usable(one: Held) -> bool:
    """Returns whether a setting can be taken together with others: five runs on both sides."""
    sides = (one.ours, one.published)
    return all(side is not None and len(side.values) >= FEWEST for side in sides)


def _together(held: Sequence[Held], seed: int) -> tuple[Held, float]:
    first = held[0]
    strata = [(units(h.quantity, h.ours), units(h.quantity, h.published)) for h in held]
    own = derive_seed(seed, f"published family {first.quantity}")
    difference = average_median_difference(strata, seed=own, confidence=1 - 2 * LEVEL)
    whole = Held(
        quantity=first.quantity,
        absolute=first.absolute,
        ours=_side(first, [h.ours for h in held if h.ours is not None]),
        published=_side(first, [h.published for h in held if h.published is not None]),
        difference=difference,
        ranks=None,
        shapes=None,
        verdict=CANNOT_TELL,
        reason="",
    )
    return whole, van_elteren(strata)


def _side(first: Held, samples: Sequence[Sample]) -> Sample:
    medians = np.array([sample.median for sample in samples], dtype=np.float64)
    values = tuple(value for sample in samples for value in sample.values)
    chances = [sample.chance for sample in samples if sample.chance is not None]
    chance = float(np.mean(chances)) if chances else None
    return Sample(
        values=values,
        left_out=sum(sample.left_out for sample in samples),
        median=float(np.exp(np.log(medians).mean()) if first.logarithmic else medians.mean()),
        chance=chance,
        at_chance=None if chance is None else at_chance(np.abs(values), chance),
    )


def _judged(held: Held, ranks: CorrectedTest) -> Held:
    assert held.difference is not None
    assert held.ours is not None
    assert held.published is not None
    low, high, margin = held.difference.low, held.difference.high, MARGINS[held.quantity]
    assert low is not None
    assert high is not None
    verdict: Verdict = CANNOT_TELL
    reason = ""
    if -margin < low and high < margin:
        verdict = AGREES
        if held.ours.at_chance and held.published.at_chance:
            verdict, reason = CANNOT_TELL, BOTH_AT_CHANCE
    elif ranks.corrected <= LEVEL:
        verdict = DIFFERS
    return replace(held, ranks=ranks, verdict=verdict, reason=reason)
