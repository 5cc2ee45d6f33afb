"""The variance of an estimate from crossed axes, where resampling all of them counts parts twice.

Resampling crossed axes at once weights a cell by the product of its units' counts. The variance of
such draws holds the part of the estimate's variance that belongs to a set A of axes (a main effect,
an interaction) 2^|A| - 1 times: once for a main effect, three times for an interaction of two.
Resampling only a set B of axes holds it 2^|A and B| - 1 times. Draws over all sets B therefore
determine the parts, and the parts what the variance is.

Source: A. B. Owen, Ann. Appl. Stat. 1 (2007) 386-411, for two axes; A. B. Owen, D. Eckles, ibid. 6
(2012) 895-927.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import prod

import numpy as np

from fragility.statistics.resampling import Axis

Subset = frozenset[str]


@dataclass(frozen=True)
class Variance:
    """Variance of an estimate, and the Satterthwaite degrees of freedom it is known with."""

    variance: float
    freedom: float


def subsets(names: Sequence[str]) -> Iterator[Subset]:
    """Yields the nonempty sets of `names`, small ones first."""
    for size in range(1, len(names) + 1):
        yield from (frozenset(chosen) for chosen in combinations(names, size))


def untangled(variances: Mapping[Subset, float], axes: Sequence[Axis]) -> Variance:
    """Returns the variance of the estimate from those of draws over every set of axes.

    Parts that come out negative are 0. Each is enlarged by n/(n-1), with H strata n/(n-H), for each
    of its axes, since units drawn with replacement from n vary by so much less than those of the
    population. Degrees
    of freedom are Satterthwaite's, a part of zero taken as known. Where no axis has a part of its
    own both err towards wide intervals.
    """
    sets = list(variances)
    freedom = {axis.name: axis.freedom for axis in axes}
    short = {axis.name: 1.0 if axis.averaged else axis.size / axis.freedom for axis in axes}
    held = np.array([[2 ** len(a & b) - 1 for a in sets] for b in sets], dtype=np.float64)
    parts = np.linalg.solve(held, [variances[b] for b in sets])
    enlarged = {
        a: max(0.0, float(part)) * prod(short[name] for name in a)
        for a, part in zip(sets, parts, strict=True)
    }
    total = sum(enlarged.values())
    if total == 0:
        return Variance(0.0, float("inf"))
    clustered = {a: sum(part for b, part in enlarged.items() if a <= b) for a in sets}
    uncertain = sum(
        clustered[a] ** 2 / prod(freedom[name] for name in a) for a in sets if enlarged[a] > 0
    )
    return Variance(total, total**2 / uncertain)
