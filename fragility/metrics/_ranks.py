"""Ranks and order of two variables under weights: what Spearman and Kendall are made of.

Weights are held as `columns` (n, draws): a pair's weights in all draws lie side by side, so that
putting pairs in order moves whole rows and every step runs over all draws at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isqrt

import numpy as np
from numpy.typing import NDArray

from fragility.metrics.base import Array

Positions = NDArray[np.intp]

ROUNDING = 1e-12
"""A variance below this share of its greatest possible value is rounding: the draw is constant."""

SHORT = 16
"""Up to this many rows a plain loop is the fastest running sum."""


def columns_of(weights: Array) -> Array:
    """Return `weights` (draws, n) as contiguous (n, draws), a copy only when they are not."""
    return np.ascontiguousarray(weights.T)


def running_sum(rows: Array) -> Array:
    """Return `rows` (n, draws) summed down to each row, in place; exact for integer weights.

    NumPy's own sums each column by itself, eight times slower; here whole rows are added, first
    inside stretches of about sqrt(n) rows (all stretches at once), then from stretch to stretch.
    """
    length = isqrt(len(rows)) if len(rows) > SHORT else 1
    count = len(rows) // length
    stretches = rows[: count * length].reshape(count, length, rows.shape[1])
    for row in range(1, length):
        stretches[:, row] += stretches[:, row - 1]
    for stretch in range(1, count):
        stretches[stretch] += stretches[stretch - 1, -1]
    for row in range(count * length, len(rows)):
        rows[row] += rows[row - 1]
    return rows


@dataclass(frozen=True)
class Ties:
    """The groups of equal values: `order` sorts the pairs, a group begins at each of `starts`."""

    order: Positions
    starts: Positions
    group: Positions

    def weights(self, columns: Array) -> Array:
        """Return the weight of each group (groups, draws), groups in order."""
        ordered = columns.take(self.order, axis=0)
        if len(self.starts) == len(self.order):
            return ordered
        return np.add.reduceat(ordered, self.starts, axis=0)


def ties(*keys: Array) -> Ties:
    """Return the groups of pairs equal in all `keys` (n,), ordered by the first, then on."""
    order = np.lexsort(keys[::-1])
    new = np.zeros(len(order), dtype=bool)
    new[:1] = True
    for key in keys:
        ordered = key[order]
        new[1:] |= ordered[1:] != ordered[:-1]
    group = np.empty(len(order), dtype=np.intp)
    group[order] = np.cumsum(new) - 1
    return Ties(order=order, starts=np.flatnonzero(new), group=group)


def midranks(groups: Array, total: Array) -> Array:
    """Return the midrank of each group (groups, draws) minus the mean midrank.

    A group's midrank is the weight before it plus half of its own: in a sample with repeats, the
    mean of the ranks of its members, up to a constant.
    """
    ranks = running_sum(groups.copy())
    ranks -= groups / 2
    ranks -= total / 2
    return ranks


def normalized(covariance: Array, spread_x: Array, spread_y: Array, most: Array) -> Array:
    """Return the correlations (draws,), NaN where a spread is none of its greatest value `most`."""
    varied = (spread_x > ROUNDING * most) & (spread_y > ROUNDING * most)
    scale = np.sqrt(np.where(varied, spread_x, np.nan)) * np.sqrt(
        np.where(varied, spread_y, np.nan)
    )
    correlations: Array = np.clip(covariance / scale, -1.0, 1.0)
    return correlations
