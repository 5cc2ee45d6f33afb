"""Axes of a table of results, and bootstrap counts of their units."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fragility.identity import derive_seed
from fragility.statistics.estimate import Array

Weights = Mapping[str, Array]
"""For each axis the weights (draws, size) of its units."""

FEWEST_AVERAGED = 4
"""With fewer, one half is a single unit, which shows no differences."""


@dataclass(frozen=True)
class Axis:
    """One kind of unit that a study draws: repeats, test points, training points, replicates.

    `nested_in` names the axis each of whose units has units of this one of its own; without it the
    units are the same everywhere (crossed). `averaged` says that a statistic first takes the mean
    over this axis, and may ask how far its units differ, as over replicates: such an axis is
    resampled by halves. `strata` are the units of each stratum where they were drawn within strata,
    and are drawn again within them; together they hold every unit once, each two at least.
    """

    name: str
    size: int
    nested_in: str | None = None
    averaged: bool = False
    strata: tuple[tuple[int, ...], ...] = ()

    @property
    def freedom(self) -> int:
        """Degrees of freedom between its units: one less than there are, in every stratum."""
        return self.size - max(1, len(self.strata))


def resampled(axes: Sequence[Axis]) -> tuple[Axis, ...]:
    """Returns the axes to resample: those that vary, and that no resampled axis carries along.

    Units nested in units that are resampled come and go with these; to resample them as well would
    count their variation twice. An axis of one unit varies in nothing, so that what is nested in a
    single repeat is resampled itself. Fewer than four averaged units have no halves that differ.

    Source: A. C. Davison, D. V. Hinkley, Bootstrap Methods (1997), section 3.8.
    """
    sizes = {axis.name: axis.size for axis in axes}
    outer = {axis.name: axis.nested_in for axis in axes}

    def carried(axis: Axis) -> bool:
        name = axis.nested_in
        while name is not None:
            if sizes[name] > 1:
                return True
            name = outer[name]
        return False

    return tuple(
        axis
        for axis in axes
        if axis.size >= (FEWEST_AVERAGED if axis.averaged else 2) and not carried(axis)
    )


def counts(axes: Sequence[Axis], draws: int, seed: int) -> dict[str, Array]:
    """Returns the weights (draws, size) of each axis: multinomial counts, or halves."""
    return {axis.name: _weights(axis, draws, seed) for axis in axes}


def bootstrap_counts(size: int, draws: int, seed: int) -> Array:
    """Returns how often (draws, size) each of `size` units is drawn with replacement."""
    rng = np.random.default_rng(seed)
    return rng.multinomial(size, np.full(size, 1 / size), size=draws).astype(np.float64)


def half_samples(size: int, draws: int, seed: int) -> Array:
    """Returns ones for the members (draws, size) of halves drawn without replacement.

    A mean over half of the units varies by just the variance of the mean over all, and no unit
    comes twice, which would pass for agreement between replicates. Of an odd number the middle one
    belongs to every second half.

    Source: P. J. McCarthy, Rev. Int. Stat. Inst. 37 (1969) 239-264.
    """
    rng = np.random.default_rng(seed)
    places = rng.permuted(np.tile(np.arange(size), (draws, 1)), axis=1)
    return (2 * places + np.arange(draws)[:, None] % 2 < size).astype(np.float64)


def _weights(axis: Axis, draws: int, seed: int) -> Array:
    draw = half_samples if axis.averaged else bootstrap_counts
    own = derive_seed(seed, f"bootstrap {axis.name}")
    if not axis.strata:
        return draw(axis.size, draws, own)
    found = np.zeros((draws, axis.size))
    for place, members in enumerate(axis.strata):
        found[:, list(members)] = draw(len(members), draws, derive_seed(own, "stratum", place))
    return found


def restricted(weights: Weights, axes: Sequence[Axis], kept: Collection[str]) -> dict[str, Array]:
    """Returns weights of all axes: the given ones for axes in `kept`, ones for the others."""
    draws = len(next(iter(weights.values())))
    return {
        axis.name: weights[axis.name] if axis.name in kept else np.ones((draws, axis.size))
        for axis in axes
    }


def without_one(axis: Axis, axes: Sequence[Axis]) -> dict[str, Array]:
    """Returns jackknife weights (size of `axis`, ...): in each row one of its units is left out."""
    left_out = {axis.name: 1 - np.eye(axis.size)}
    return restricted(left_out, axes, {axis.name})
