"""Two samples in each of several strata: the average difference of medians, and a test of ranks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fragility.identity import derive_seed
from fragility.statistics.estimate import Array, Estimate, missing, not_finite
from fragility.statistics.two_samples import DRAWS, FEWEST

Strata = Sequence[tuple[Array, Array]]
"""The two samples of every stratum."""


def average_median_difference(
    strata: Strata, *, seed: int, confidence: float, draws: int = DRAWS
) -> Estimate:
    """Returns the mean over strata of the difference of medians, first minus second.

    With a percentile bootstrap interval: both samples of every stratum are resampled by themselves.
    Every stratum weighs the same, whatever its sizes. Differences of opposite sign cancel. Missing
    without strata, below five values in any sample, and when one is not finite.

    Source: A. C. Davison, D. V. Hinkley, Bootstrap Methods (1997), section 3.2.
    """
    reason = _undefined(strata)
    if reason is not None:
        return missing(reason)
    rng = np.random.default_rng(derive_seed(seed, "bootstrap strata"))
    drawn = np.zeros(draws)
    found = 0.0
    for first, second in strata:
        medians = [
            np.median(sample[rng.integers(0, sample.size, size=(draws, sample.size))], axis=1)
            for sample in (first, second)
        ]
        drawn += (medians[0] - medians[1]) / len(strata)
        found += float(np.median(first) - np.median(second)) / len(strata)
    tail = (1 - confidence) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail])
    return Estimate(found, float(low), float(high))


def van_elteren(strata: Strata) -> float:
    """Returns the two-sided p that no stratum's samples differ, by their ranks within strata.

    The sums of ranks are added with weights 1 / (n + 1), n the size of the stratum, which is best
    against the same shift in all; normal approximation, corrected for ties. 1 when nothing varies.

    Source: P. H. van Elteren, Bull. Inst. Int. Stat. 37 (1960) 351-361; E. L. Lehmann,
    Nonparametrics (1975), section 3.3.
    """
    # Imported here: it doubles the time that every command which only reads needs to start.
    from scipy.special import ndtr
    from scipy.stats import rankdata

    excess = variance = 0.0
    for first, second in strata:
        n, m = first.size, first.size + second.size
        ranks = rankdata(np.concatenate([first, second]))
        weight = 1 / (m + 1)
        excess += weight * float(ranks[:n].sum() - n * (m + 1) / 2)
        # Of ranks with ties, drawn without replacement: midranks vary less than ranks do.
        variance += weight**2 * n * (m - n) / m * float(ranks.var(ddof=1))
    if variance == 0:
        return 1.0
    return float(2 * ndtr(-abs(excess) / variance**0.5))


def _undefined(strata: Strata) -> str | None:
    if not strata:
        return "there are no strata"
    fewest = min(sample.size for pair in strata for sample in pair)
    if fewest < FEWEST:
        return f"a sample has {fewest} values; {FEWEST} are needed"
    return not_finite("values", np.concatenate([sample for pair in strata for sample in pair]))
