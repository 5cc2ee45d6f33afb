"""Weighted medians, of single values and of values of pairs, for many weightings at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from fragility.metrics._ranks import Positions, running_sum
from fragility.metrics.base import Array

BLOCK = 64
"""Values whose weights are summed before any is looked at; only the median's block is opened."""

EVEN = 1e-9
"""Halves that differ by less than this share of the weight are equal: the median lies between."""


@dataclass(frozen=True)
class Median:
    """The median of `values` (m,), ascending, each weighted by the product of its pairs' weights.

    `pairs` (1 or 2, m) says which: one for the values of single pairs, two for those of two pairs.
    Where half of the weight lies on either side it is the middle between the neighbours, as in a
    sample with repeats. NaN without weight.
    """

    values: Array
    pairs: Positions

    def __call__(self, columns: Array) -> Array:
        """Return the median (draws,) under `columns` (n, draws); memory: m times the draws."""
        weights = columns.take(self.pairs[0], axis=0)
        for more in self.pairs[1:]:
            weights *= columns.take(more, axis=0)
        starts = np.arange(0, len(weights), BLOCK)
        until = running_sum(np.add.reduceat(weights, starts, axis=0))
        total = until[-1]
        low, high = (
            self.values.take(_first(weights, until, total * (0.5 + side))) for side in (-EVEN, EVEN)
        )
        with np.errstate(invalid="ignore"):
            return np.where(total > 0, low / 2 + high / 2, np.nan)


def median(values: Array) -> Median:
    """Return the median of `values` (n,) as a function of the columns of weights."""
    order = np.argsort(values, kind="stable")
    return Median(values[order], order[None])


def _first(weights: Array, until: Array, least: Array) -> Positions:
    """Return the first row up to which `weights` sum to `least` (draws,), given sums of blocks."""
    draws = np.arange(len(least))
    block = np.minimum(np.count_nonzero(until < least, axis=0), len(until) - 1)
    before = np.where(block > 0, until[block - 1, draws], 0.0)
    rows = block * BLOCK + np.arange(BLOCK)[:, None]
    inside = rows < len(weights)
    opened = np.where(inside, weights[np.minimum(rows, len(weights) - 1), draws], 0.0)
    short = np.count_nonzero(before + running_sum(opened) < least, axis=0)
    place: Positions = np.minimum(block * BLOCK + short, len(weights) - 1)
    return place


def in_parts(statistic: Callable[[Array], Array], columns: Array, most: int) -> Array:
    """Return `statistic` of all draws, computed for at most `most` of them at once."""
    parts = range(0, columns.shape[1], most)
    return np.concatenate(
        [statistic(np.ascontiguousarray(columns[:, start : start + most])) for start in parts]
    )
