"""Intervals, ceilings and null bands of the agreements a table holds: all from stored pairs.

The interval of a correlation is the nested bootstrap's, over repeats, test points and training
points; the ceiling's likewise, with the reliability estimated anew in every draw. Where a bootstrap
has no interval or would take a page too long, the one in the table stays.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from fragility.identity import derive_seed
from fragility.report.averages import Noise, Sample, median_agreement, noise
from fragility.report.samples import sample
from fragility.report.statistics import null_band, within_bounds
from fragility.statistics.correlations import Kind
from fragility.statistics.null_band import permuted_correlations

if TYPE_CHECKING:
    from fragility.report.context import Combination, Context, Estimate

KINDS: tuple[Kind, ...] = ("pearson", "spearman")

MOST = 80
"""Up to so many agreements are resampled, a twentieth of a second each."""

SAME = 1e-6
"""A table whose value is off by more holds other pairs than the store does."""

PERMUTATIONS = (1999, 999, 399, 199, 39)
"""Numbers of draws for which the edges of a 95 % band are draws themselves."""

MOST_PRODUCTS = 6_000_000

Key = tuple["Combination", str]
Average = Callable[..., Any]
"""np.median or np.mean."""


def resampled(context: Context, found: Mapping[Key, Estimate]) -> Mapping[Key, Estimate]:
    """Returns the estimates, correlations with the bootstrap's interval and ceiling."""
    seed = derive_seed(context.source.run["seed"], "report intervals")
    combinations = dict.fromkeys(combination for combination, _ in found)
    if len(combinations) > MOST:
        return found
    noises: dict[tuple[str, str], Noise] = {}
    changed = dict(found)
    for combination in combinations:
        pairs = sample(context, combination)
        if pairs is None:
            continue
        for kind in KINDS:
            known = found.get((combination, kind))
            if known is None or known.value is None:
                continue
            drawn = median_agreement(pairs, kind, seed)
            if drawn is None or drawn.value is None or abs(drawn.value - known.value) > SAME:
                continue
            if drawn.low is not None and drawn.high is not None:
                low, high = within_bounds(kind, drawn.low, drawn.high)
                changed[combination, kind] = replace(known, low=low, high=high, nested=True)
            if kind == "pearson" and known.ceiling is not None:
                key = combination.arm, combination.procedure
                noises[key] = noises.get(key) or noise(pairs, seed)
                ceiling = noises[key].ceiling
                changed[combination, kind] = replace(
                    changed[combination, kind],
                    ceiling=ceiling.value,
                    ceiling_low=ceiling.low,
                    ceiling_high=ceiling.high,
                )
    return changed


def band(
    context: Context, combination: Combination, metric: str, n: int
) -> tuple[float, float] | None:
    """Returns the 95 % range of an agreement whose scores have nothing to do with the effects.

    Pearson and Spearman: of the very number that is shown, by permuting removals in every repeat,
    the same in all its test points. Other metrics: of a single test point of `n` pairs.
    """
    pairs = sample(context, combination) if metric in KINDS else None
    if pairs is None:
        return null_band(metric, n)
    kind: Kind = "pearson" if metric == "pearson" else "spearman"
    return permuted(pairs, kind, np.median, derive_seed(context.source.run["seed"], "null bands"))


def permuted(pairs: Sample, kind: Kind, average: Average, seed: int) -> tuple[float, float] | None:
    """Returns the 95 % range of the mean over repeats of an `average` over test points.

    When the removals of every repeat are permuted, in all its test points alike.
    """
    size = sum(x.size for x in pairs.x)
    draws = next((n for n in PERMUTATIONS if n * size <= MOST_PRODUCTS), PERMUTATIONS[-1])
    averages = []
    for place, (x, means) in enumerate(pairs.repeats):
        own = derive_seed(seed, "repeat", place)
        drawn = permuted_correlations(x, means, kind, seed=own, draws=draws)
        known = drawn[:, np.isfinite(drawn).all(axis=0)]
        if known.size:
            averages.append(np.asarray(average(known, axis=1)))
    if not averages:
        return None
    ordered = np.sort(np.mean(averages, axis=0))
    edge = round(0.025 * (draws + 1))
    return float(ordered[edge - 1]), float(ordered[-edge])
