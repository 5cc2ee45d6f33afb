"""What a factor's levels change in a number that repeats and test points measure at each level."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy.special import stdtrit

from fragility.statistics.crossed_mean import crossed_mean
from fragility.statistics.equivalence import equivalence_of_estimate
from fragility.statistics.estimate import CONFIDENCE, Array
from fragility.statistics.mixed_model import mixed_model

ROUNDING = 1e-12
"""A standard error below this share of the difference is that of the arithmetic."""

REPEATS, TESTS = "repeats", "test points"

Unit = tuple[Hashable, Hashable]
"""A repeat and a test point."""


@dataclass(frozen=True)
class Difference:
    """The mean of the second level minus the mean of the first, over what both were measured on.

    `over` says of what the interval speaks: repeats and test points where both are random, repeats
    alone where there is one test point, or none that both levels share. `p` is two-sided for no
    difference at all, `p_margin` the larger of the two one-sided p-values for a difference as large
    as the margin. Where all differences are exactly 0, `identical`, nothing is tested: `p` is 1 and
    `p_margin` 0. All numbers but the counts are None exactly when `reason` says why.
    """

    first: str
    second: str
    value: float | None
    low: float | None
    high: float | None
    p: float | None
    p_margin: float | None
    repeats: int
    tests: int
    over: tuple[str, ...]
    identical: bool = False
    reason: str | None = None


@dataclass(frozen=True)
class LevelComparison:
    """All pairs of a factor's levels.

    `ends` is the last level against the first. `p_different` is Bonferroni's p that some pair
    differs, half of it given to the ends: twice the p of the ends, or the smallest p of all pairs
    times twice their number, or 1; with two levels their p. `p_equivalent` is the largest
    `p_margin`: all pairs are equivalent only where each is (an intersection-union test, which needs
    no correction). Both are None exactly when `reason` says why.
    """

    ends: Difference
    pairs: tuple[Difference, ...]
    p_different: float | None
    p_equivalent: float | None
    reason: str | None

    @property
    def identical(self) -> bool:
        """Whether no level changes anything."""
        return all(pair.identical for pair in self.pairs)

    @property
    def clearest(self) -> Difference:
        """The pair with the smallest p, the ends where there is none."""
        known = [pair for pair in self.pairs if pair.p is not None]
        return min(
            known, key=lambda pair: (pair.p or 0.0, pair is not self.ends), default=self.ends
        )


def compare_levels(
    levels: Mapping[str, Mapping[Unit, float]],
    margin: float,
    *,
    confidence: float = CONFIDENCE,
) -> LevelComparison:
    """Returns how far the numbers at two or more levels, in order, differ from each other.

    Two levels are compared by the differences at the repeats and test points that both have: what
    is common to a repeat or a test point at all levels cancels, and levels may scatter differently.
    The mean difference comes from a mixed model in which repeats and test points are random, so
    that it speaks of others than those that were run. Where levels share no test point, the means
    over each repeat's are compared. Differences count as they are: in the unit of the margin.

    No answer, with the reason, where fewer than two repeats are shared.

    Cost: one mixed model a pair, in closed form where every repeat has every test point.
    """
    names = list(levels)
    if len(names) < 2:
        raise ValueError("two levels are needed")
    pairs = tuple(
        _difference(a, b, levels[a], levels[b], margin, confidence)
        for a, b in combinations(names, 2)
    )
    ends = next(pair for pair in pairs if (pair.first, pair.second) == (names[0], names[-1]))
    reason = next((pair.reason for pair in pairs if pair.reason is not None), None)
    if reason is not None:
        return LevelComparison(ends, pairs, None, None, reason)
    smallest = ends.p or 0.0
    if len(pairs) > 1:
        smallest = 2 * min(smallest, len(pairs) * min(pair.p or 0.0 for pair in pairs))
    largest = max(pair.p_margin or 0.0 for pair in pairs)
    return LevelComparison(ends, pairs, min(1.0, smallest), largest, None)


def _difference(
    first: str,
    second: str,
    a: Mapping[Unit, float],
    b: Mapping[Unit, float],
    margin: float,
    confidence: float,
) -> Difference:
    paired = bool(a.keys() & b.keys())
    if not paired:
        a, b = _means(a), _means(b)
    shared = [unit for unit in a if unit in b]
    values = np.array([b[unit] - a[unit] for unit in shared])
    repeats, tests = ([unit[place] for unit in shared] for place in (0, 1))
    counts = (len(set(repeats)), len(set(tests)) if paired else 0)

    def none(reason: str) -> Difference:
        ends = (None, None, None)
        return Difference(first, second, *ends, None, None, *counts, (), reason=reason)

    if counts[0] < 2:
        return none("one repeat says nothing of others" if shared else "no repeat is shared")
    if not values.any():
        return Difference(first, second, 0.0, 0.0, 0.0, 1.0, 0.0, *counts, (REPEATS,), True)
    found = _random(values, repeats, tests) or _student(values, repeats)
    if found is None or found[1] < ROUNDING * abs(found[0]):
        return none("the difference is the same in all repeats: there is no error to judge it by")
    value, error, freedom, over = found
    half = float(stdtrit(freedom, (1 + confidence) / 2)) * error
    judged = equivalence_of_estimate(value, error, freedom, margin)
    return Difference(
        first, second, value, value - half, value + half, judged.p_zero, judged.p, *counts, over
    )


Found = tuple[float, float, float, tuple[str, ...]]
"""A mean, its standard error, Student's degrees of freedom, and what it speaks of."""


def _random(values: Array, repeats: list[Hashable], tests: list[Hashable]) -> Found | None:
    """Returns the mean under random repeats and test points, where it can be had.

    Where each repeat has test points of its own, they are the residual.
    """
    rows, columns = (
        {label: place for place, label in enumerate(dict.fromkeys(labels))}
        for labels in (repeats, tests)
    )
    if len(columns) == 1 or len(rows) == len(values):
        return None
    if len(rows) * len(columns) == len(values):
        table = np.empty((len(rows), len(columns)))
        table[[rows[r] for r in repeats], [columns[t] for t in tests]] = values
        mean, error, freedom = crossed_mean(table)
        return (mean, error, freedom, (REPEATS, TESTS)) if error > 0 else None
    random = {REPEATS: repeats} | ({TESTS: tests} if len(columns) < len(values) else {})
    model = mixed_model(values, fixed={}, random=random)
    if model.reason is not None:
        return None
    found = model.effects[0]
    return found.value, found.standard_error, found.freedom, (REPEATS, TESTS)


def _student(values: Array, repeats: list[Hashable]) -> Found | None:
    means = [values[[r == repeat for r in repeats]].mean() for repeat in dict.fromkeys(repeats)]
    error = float(np.std(means, ddof=1) / np.sqrt(len(means)))
    return (float(np.mean(means)), error, len(means) - 1, (REPEATS,)) if error > 0 else None


def _means(values: Mapping[Unit, float]) -> dict[Unit, float]:
    """Returns the mean over each repeat's test points."""
    by_repeat: dict[Hashable, list[float]] = {}
    for (repeat, _), value in values.items():
        by_repeat.setdefault(repeat, []).append(value)
    return {(repeat, None): float(np.mean(found)) for repeat, found in by_repeat.items()}
