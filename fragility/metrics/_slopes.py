"""The median of the slopes between pairs of points, for many weightings at once."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from fragility.identity import derive_seed
from fragility.metrics._medians import Median, in_parts
from fragility.metrics._ranks import Positions
from fragility.metrics.base import Array

MOST_SLOPES = 20_000
"""All slopes of up to 200 points; of more points, as many slopes as this, and one a point."""

AT_ONCE = 2**18
"""Weights of slopes held at once: 2 MB, which a processor keeps near."""


def median_slope(scores: Array, effects: Array) -> Callable[[Array], Array]:
    """Return the Theil-Sen slope of `effects` on `scores` as a function of columns (n, draws)."""
    first, second = compared(len(scores))
    apart = scores[first] != scores[second]
    first, second = first[apart], second[apart]
    if not len(first):
        return lambda columns: np.full(columns.shape[1], np.nan)
    with np.errstate(all="ignore"):
        # Halves: the difference of two numbers may be twice what floating point holds.
        rise, run = (v[second] / 2 - v[first] / 2 for v in (effects, scores))
        slopes = rise / run
    order = np.argsort(slopes, kind="stable")
    middle = Median(slopes[order], np.stack([first, second])[:, order])
    return lambda columns: in_parts(middle, columns, max(1, AT_ONCE // len(slopes)))


def compared(n: int) -> tuple[Positions, Positions]:
    """Return which of `n` points are compared: every two, or each with equally many others.

    Beyond 200 points they stand around a circle in an order drawn once for every n, and each is
    compared with its nearest on both sides. The comparisons left out cost precision, not bias.
    """
    if n * (n - 1) // 2 <= MOST_SLOPES:
        first, second = np.triu_indices(n, k=1)
        return first, second
    order = np.random.default_rng(derive_seed(0, "compared points", n)).permutation(n)
    steps = np.arange(1, max(1, MOST_SLOPES // n) + 1)
    places = np.arange(n)
    first = np.repeat(order[places], len(steps))
    second = order[(places[:, None] + steps) % n].ravel()
    return first, second
