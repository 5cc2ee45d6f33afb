"""Bootstrap of any statistic over repeats, test points, points or groups, and replicates."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from fragility.statistics.estimate import CONFIDENCE, Array, Estimate
from fragility.statistics.intervals import (
    acceleration,
    bca_interval,
    expanded_tail,
    percentile_interval,
)
from fragility.statistics.overlap import Subset, Variance, subsets, untangled
from fragility.statistics.resampling import (
    Axis,
    Weights,
    counts,
    resampled,
    restricted,
    without_one,
)

WeightedStatistic = Callable[[Weights], Array]
"""Weights of all axes in, one value a draw (draws,) out; NaN where it is undefined."""

Method = Literal["percentile", "bca"]

CALIBRATION = 500
"""Draws over each set of axes: their variance is known to 6 %, the width of an interval to 3 %."""


@dataclass(frozen=True)
class Bootstrap:
    """An estimate with its interval, and what the interval rests on.

    `standard_error` and `freedom` are None exactly when there is no interval; `resampled` names the
    axes; `undefined` is the share of draws without a value.
    """

    estimate: Estimate
    standard_error: float | None
    freedom: float | None
    resampled: tuple[str, ...]
    undefined: float


def nested_bootstrap(
    of_weights: WeightedStatistic,
    axes: Sequence[Axis],
    *,
    seed: int,
    draws: int = 2000,
    confidence: float = CONFIDENCE,
    method: Method = "bca",
) -> Bootstrap:
    """Returns the value of a statistic at weights one, with a bootstrap interval.

    Crossed axes are resampled independently, nested ones with the axis that carries them (see
    `resampled`). The quantiles are taken at a level that makes a normal estimate's interval a
    Student quantile times its standard error: narrower than the nominal level where resampling
    several axes counts variance repeatedly, wider where there are few units. Resampling an averaged
    axis adds its noise once more to the means; the shift this gives to the draws is taken out.

    Assumes that units of an axis are exchangeable and, for the level, that the estimate is roughly
    linear in their weights. No interval, with the reason, where nothing varies, fewer than half of
    the draws have a value, or so few units decide that the level asks for rarer draws than there
    are: below about five repeats that differ.

    `of_weights` gives the statistic for weights of all axes, infinite or NaN where it has no value.

    Cost: `draws` values of it, with k > 1 resampled axes 500 (2^k - 2) more, and for BCa one for
    each unit. It is called with all of these at once, to cut them to its own memory.
    """

    def statistic(weights: Weights) -> Array:
        values = of_weights(weights)
        return np.where(np.isfinite(values), values, np.nan)

    free = resampled(axes)
    names = tuple(axis.name for axis in free)
    value = float(statistic({axis.name: np.ones((1, axis.size)) for axis in axes})[0])
    if not np.isfinite(value):
        return _without(None, "the statistic has no value for these data", names)
    if not free:
        return _without(value, "one unit on every axis: nothing can be resampled", names)
    weights = counts(free, draws, seed)
    drawn = statistic(restricted(weights, axes, names))
    defined = np.isfinite(drawn)
    undefined = 1 - float(np.mean(defined))
    if undefined > 0.5:
        return _without(value, f"{undefined:.0%} of the resamples have no value", names, undefined)

    parts = _parts(statistic, axes, free, weights, drawn)
    found = untangled({chosen: _variance(part) for chosen, part in parts.items()}, free)
    all_draws = drawn[defined] - _shift(value, free, parts)
    if found.variance == 0:
        return Bootstrap(Estimate(value, value, value), 0.0, found.freedom, names, undefined)
    inflation = float(np.sqrt(found.variance / _variance(parts[frozenset(names)])))
    tail = expanded_tail(confidence, found.freedom, inflation)
    if tail * all_draws.size < 1:
        return _without(value, _few(found, free), names, undefined)
    if method == "percentile":
        bounds = percentile_interval(all_draws, tail)
    else:
        skew = acceleration(_influences(statistic, axes, free))
        bounds = bca_interval(all_draws, value, skew, tail)
    error = inflation * float(np.std(all_draws))
    return Bootstrap(Estimate(value, *bounds), error, found.freedom, names, undefined)


def _parts(
    statistic: WeightedStatistic,
    axes: Sequence[Axis],
    free: Sequence[Axis],
    weights: Weights,
    drawn: Array,
) -> dict[Subset, Array]:
    """Returns draws over every set of the free axes, the same counts in each."""
    everything = frozenset(axis.name for axis in free)
    few = {name: count[:CALIBRATION] for name, count in weights.items()}
    return {
        chosen: drawn
        if len(free) == 1
        else drawn[:CALIBRATION]
        if chosen == everything
        else statistic(restricted(few, axes, chosen))
        for chosen in subsets([axis.name for axis in free])
    }


def _variance(draws: Array) -> float:
    defined = draws[np.isfinite(draws)]
    varies = defined.size > 0 and defined.max() > defined.min()
    return float(np.var(defined)) if varies else 0.0


def _shift(value: float, free: Sequence[Axis], parts: Mapping[Subset, Array]) -> float:
    """Returns by how much resampling the averaged axes moves the draws."""
    everything = frozenset(axis.name for axis in free)
    others = frozenset(axis.name for axis in free if not axis.averaged)
    if others == everything:
        return 0.0
    moved = parts[everything] - (parts[others] if others else value)
    defined = moved[np.isfinite(moved)]
    return float(np.mean(defined)) if defined.size else 0.0


def _influences(statistic: WeightedStatistic, axes: Sequence[Axis], free: Sequence[Axis]) -> Array:
    """Returns the jackknife influences of all units, those without a value left out."""
    found = []
    for axis in free:
        values = statistic(without_one(axis, axes))
        values = values[np.isfinite(values)]
        if values.size:
            found.append((axis.size - 1) / axis.size * (values.mean() - values))
    return np.concatenate(found) if found else np.zeros(0)


def _without(
    value: float | None, reason: str, names: tuple[str, ...], undefined: float = 0.0
) -> Bootstrap:
    return Bootstrap(Estimate(value, None, None, reason), None, None, names, undefined)


def _few(found: Variance, free: Sequence[Axis]) -> str:
    sizes = ", ".join(f"{axis.size} {axis.name}" for axis in free)
    return (
        f"too few units for an interval by resampling ({sizes}: {found.freedom:.1f} degrees of"
        " freedom)"
    )
