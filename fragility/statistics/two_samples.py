"""Our numbers against published ones: do two samples agree, differ, or can nobody tell?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fragility.identity import derive_seed
from fragility.statistics.estimate import Array, Estimate, missing, not_finite
from fragility.statistics.multiplicity import holm

MARGIN = 0.1
"""Difference of medians, in units of a correlation, below which two samples say the same.

Published arms of 50 runs spread by 0.2 and more, so that the median of each is known to about 0.04
and their difference to 0.1 with 90 % confidence: a smaller margin could hardly ever be met. A
larger one would let a weak correlation pass for none.
"""

LEVEL = 0.05
"""Chance of "differs" for one law, over a whole family; and of "agrees" at a margin's distance."""

FEWEST = 5
"""The range of four values holds their law's median with probability 0.875: no 90 % interval."""

MOST_FOR_EXACT = 500
"""Sizes up to which the exact law of Kolmogorov and Smirnov's statistic is quick and safe."""

DRAWS = 3999

Places = NDArray[np.int64]

Answer = Literal["agrees", "differs", "cannot tell"]


@dataclass(frozen=True)
class CorrectedTest:
    """A two-sided p-value, as it is and corrected (Holm) for this test's family of pairs."""

    p: float
    corrected: float


@dataclass(frozen=True)
class SampleComparison:
    """Two samples compared; tests and medians are None exactly when `reason` says why.

    `difference` of medians, first minus second, has an interval of confidence 1 - 2 LEVEL, the one
    that decides. `medians` permutes that difference, `ranks` is Mann and Whitney's test, `shapes`
    Kolmogorov and Smirnov's, which also sees that spreads differ where medians agree.
    """

    name: str
    sizes: tuple[int, int]
    first_median: float | None
    second_median: float | None
    difference: Estimate
    medians: CorrectedTest | None
    ranks: CorrectedTest | None
    shapes: CorrectedTest | None
    answer: Answer
    reason: str | None


def compare_samples(
    pairs: Mapping[str, tuple[Sequence[float] | Array, Sequence[float] | Array]],
    *,
    seed: int,
    margin: float = MARGIN,
) -> tuple[SampleComparison, ...]:
    """Returns how the two samples of each pair compare, one family of tests for all of them.

    They agree when the interval of the difference of medians lies within the margin, whatever their
    spreads; else they differ when the corrected test of ranks rejects; else nobody can tell, which
    is also the answer below five values in either. Whether samples agree is asked of each pair by
    itself.

    Source of the rule: D. J. Schuirmann, J. Pharmacokinet. Biopharm. 15 (1987) 657-680.
    """
    samples = {
        name: (np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64))
        for name, (first, second) in pairs.items()
    }
    asked = {name: pair for name, pair in samples.items() if _undefined(*pair) is None}
    found = [_p_values(*pair, seed) for pair in asked.values()]
    tests = zip(*(_corrected(family) for family in zip(*found, strict=True)), strict=True)
    by_name = dict(zip(asked, tests, strict=True))
    return tuple(
        _comparison(name, *pair, by_name.get(name), seed, margin) for name, pair in samples.items()
    )


def median_difference(
    first: Array, second: Array, *, seed: int, confidence: float, draws: int = DRAWS
) -> Estimate:
    """Returns the difference of medians, first minus second, with a percentile bootstrap interval.

    Assumes independent values. Missing below five values in either, and when one is not finite.

    Source: R. R. Wilcox, Introduction to Robust Estimation (2012), section 5.4.
    """
    reason = _undefined(first, second)
    if reason is not None:
        return missing(reason)
    places = _drawn_middles(first.size, second.size, draws, seed)
    drawn = [
        np.sort(one)[own].mean(axis=1) for one, own in zip((first, second), places, strict=True)
    ]
    tail = (1 - confidence) / 2
    low, high = np.quantile(drawn[0] - drawn[1], [tail, 1 - tail])
    return Estimate(float(np.median(first) - np.median(second)), float(low), float(high))


@lru_cache(maxsize=32)
def _drawn_middles(first: int, second: int, draws: int, seed: int) -> tuple[Places, Places]:
    """Returns where the medians of two samples' resamples stand among their sorted values.

    A resample's median is the value at the median of the places drawn, or the mean of the values
    at both middle ones, (draws, 2): the same places serve all samples of such sizes.
    """
    rng = np.random.default_rng(derive_seed(seed, "bootstrap medians"))
    drawn = [rng.integers(0, size, size=(draws, size)) for size in (first, second)]
    return _middles(drawn[0]), _middles(drawn[1])


def _comparison(
    name: str,
    first: Array,
    second: Array,
    tests: tuple[CorrectedTest, ...] | None,
    seed: int,
    margin: float,
) -> SampleComparison:
    difference = median_difference(first, second, seed=seed, confidence=1 - 2 * LEVEL, draws=DRAWS)
    sizes = (first.size, second.size)
    if tests is None or difference.low is None or difference.high is None:
        return SampleComparison(
            name, sizes, None, None, difference, None, None, None, "cannot tell", difference.reason
        )
    medians, ranks, shapes = tests
    answer: Answer = "cannot tell"
    if -margin < difference.low and difference.high < margin:
        answer = "agrees"
    elif ranks.corrected <= LEVEL:
        answer = "differs"
    return SampleComparison(
        name=name,
        sizes=sizes,
        first_median=float(np.median(first)),
        second_median=float(np.median(second)),
        difference=difference,
        medians=medians,
        ranks=ranks,
        shapes=shapes,
        answer=answer,
        reason=None,
    )


def _p_values(first: Array, second: Array, seed: int) -> tuple[float, float, float]:
    """Returns p of the permuted medians, of Mann and Whitney, and of Kolmogorov and Smirnov."""
    # Imported here: it doubles the time that every command which only reads needs to start.
    from scipy.stats import ks_2samp, mannwhitneyu

    both = np.concatenate([first, second])
    if both.max() == both.min():
        return 1.0, 1.0, 1.0
    exact = max(first.size, second.size) <= MOST_FOR_EXACT
    return (
        _permuted_medians(both, first.size, seed),
        float(mannwhitneyu(first, second).pvalue),
        float(ks_2samp(first, second, method="exact" if exact else "asymp").pvalue),
    )


def _permuted_medians(both: Array, size: int, seed: int) -> float:
    """Returns the two-sided p of the difference of medians when labels are exchanged at random."""
    values = np.sort(both)
    medians = [values[own].mean(axis=1) for own in _permuted_middles(size, both.size - size, seed)]
    differences = np.abs(medians[0] - medians[1])
    found = abs(float(np.median(both[:size]) - np.median(both[size:])))
    extreme = int(np.count_nonzero(differences >= found * (1 - 1e-12)))
    return (1 + extreme) / (1 + DRAWS)


@lru_cache(maxsize=32)
def _permuted_middles(first: int, second: int, seed: int) -> tuple[Places, Places]:
    """Returns the same of two samples that share out the sorted values of both at random."""
    rng = np.random.default_rng(derive_seed(seed, "permuted medians"))
    drawn = rng.permuted(np.tile(np.arange(first + second), (DRAWS, 1)), axis=1)
    return _middles(drawn[:, :first]), _middles(drawn[:, first:])


def _middles(places: Places) -> Places:
    """Returns the one or two middle places (draws, 2) of each row."""
    size = places.shape[1]
    return np.sort(places, axis=1)[:, [(size - 1) // 2, size // 2]]


def _corrected(family: tuple[float, ...]) -> list[CorrectedTest]:
    corrected = holm(family)
    return [CorrectedTest(p, float(q)) for p, q in zip(family, corrected, strict=True)]


def _undefined(first: Array, second: Array) -> str | None:
    if min(first.size, second.size) < FEWEST:
        return f"{first.size} and {second.size} values; {FEWEST} of each are needed"
    return not_finite("values", np.concatenate([first, second]))
