"""What the controls measure: halves of replicates against halves, and shares of a null band."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtr

from fragility.report.statistics import Mean, mean_interval, null_band
from fragility.statistics.correlations import pearson
from fragility.statistics.intraclass import intraclass_consistency
from fragility.statistics.split_half import halves, spearman_brown

Values = NDArray[np.float64]

CUTS = 100
ONCE_IN = 1000


@dataclass(frozen=True)
class Halves:
    """Agreement of one half of the replicates with the other, and what noise allows.

    `observed` has Student's interval over test points.
    """

    observed: Mean
    allowed: float


def half_against_half(effects: Values, seed: int) -> Halves | None:
    """Returns how the means of two halves of `effects` (replicates, tests, removals) correlate.

    Means over test points and over cuts into halves, `CUTS` random ones where there are more. Two
    equally noisy sides allow for the reliability of one, ICC(C,1) stepped up by Spearman-Brown.
    None where there are fewer than two replicates, or no test point has a correlation.
    """
    replicates, tests, _ = effects.shape
    if replicates < 2:
        return None
    single = [intraclass_consistency(effects[:, test]).single.value for test in range(tests)]
    known = np.array([test for test in range(tests) if single[test] is not None])
    if not known.size:
        return None
    firsts, seconds = halves(replicates, CUTS, seed) / (replicates // 2)
    used = effects[:, known]
    ones = np.ones(effects.shape[2])
    cuts = [
        pearson(np.tensordot(first, used, 1), np.tensordot(second, used, 1), ones)
        for first, second in zip(firsts, seconds, strict=True)
    ]
    # Test points may differ in reliability: what a mean reliability allows would be too much.
    allowed = [spearman_brown(value, replicates // 2) for value in single if value is not None]
    return Halves(mean_interval(np.mean(cuts, axis=0)), float(np.mean(allowed)))


@dataclass(frozen=True)
class Inside:
    """How many of `total` correlations lie in the 95 % band of unrelated lists, and how many must.

    Fewer than `fewest` come about once in `ONCE_IN` times where correlations are independent.
    """

    count: int
    total: int

    @property
    def share(self) -> float:
        """The share inside."""
        return self.count / self.total

    @property
    def fewest(self) -> int:
        """The smallest number that chance alone explains."""
        numbers = np.arange(self.total + 1)
        return int(np.argmax(bdtr(numbers, self.total, 0.95) >= 1 / ONCE_IN))


def inside(correlations: Values, n: int) -> Inside | None:
    """Returns how many correlations of n pairs are inside the band; None without any, or a band."""
    band = null_band("pearson", n)
    known = correlations[np.isfinite(correlations)]
    if band is None or not known.size:
        return None
    return Inside(int(np.count_nonzero((known >= band[0]) & (known <= band[1]))), known.size)


def drawn(effects: Values, seed: int) -> Inside | None:
    """Returns where correlations of normal numbers with effects (tests, removals) lie.

    Whatever the effects, they follow the law of unrelated lists exactly, and independently.
    """
    scores = np.random.default_rng(seed).standard_normal(effects.shape)
    return inside(pearson(scores, effects, np.ones(effects.shape[1])), effects.shape[1])
