"""Pearson's and Spearman's correlation of weighted rows, many rows at once.

The metrics hold one pair of variables fixed and vary the weights; where replicates are resampled or
split into halves the variables change with every draw too, which is what these are for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

import numpy as np

from fragility.statistics.estimate import Array

Kind = Literal["pearson", "spearman"]
Correlation = Callable[[Array, Array, Array], Array]

ROUNDING = 16 * np.finfo(np.float64).eps
"""Deviations below this share of the values are rounding: the row is constant."""


def pearson(x: Array, y: Array, weights: Array) -> Array:
    """Returns the weighted correlation along the last axis, NaN where a row is constant.

    The three arrays are broadcast against each other; weights are nonnegative, and integer weights
    give the correlation of the sample in which each pair is repeated that often.
    """
    x, y = _deviations(x, weights), _deviations(y, weights)
    with np.errstate(invalid="ignore", divide="ignore"):
        scale = np.sqrt(np.sum(weights * x * x, axis=-1)) * np.sqrt(
            np.sum(weights * y * y, axis=-1)
        )
        return np.asarray(np.clip(np.sum(weights * x * y, axis=-1) / scale, -1.0, 1.0))


def spearman(x: Array, y: Array, weights: Array) -> Array:
    """Returns the weighted rank correlation along the last axis, ties at their midrank."""
    return pearson(midranks(x, weights), midranks(y, weights), weights)


def midranks(values: Array, weights: Array) -> Array:
    """Returns midranks along the last axis: the weight below a value and half of that at it."""
    values = values[(None,) * (weights.ndim - values.ndim)]
    order = np.argsort(values, axis=-1)
    ordered = np.take_along_axis(values, order, axis=-1)
    shape = np.broadcast_shapes(values.shape, weights.shape)
    until = np.cumsum(np.take_along_axis(np.broadcast_to(weights, shape), order, axis=-1), axis=-1)
    before = np.concatenate([np.zeros((*shape[:-1], 1)), until[..., :-1]], axis=-1)
    new = np.ones(values.shape, dtype=bool)
    new[..., 1:] = ordered[..., 1:] != ordered[..., :-1]
    last = np.ones(values.shape, dtype=bool)
    last[..., :-1] = new[..., 1:]
    # Sums of weights grow along a row, so that running extremes carry a group's ends to its middle.
    start = np.maximum.accumulate(np.where(new, before, 0.0), axis=-1)
    end = np.where(last, until, np.inf)[..., ::-1]
    end = np.minimum.accumulate(end, axis=-1)[..., ::-1]
    ranks = np.empty(shape)
    np.put_along_axis(ranks, np.broadcast_to(order, shape), (start + end) / 2, axis=-1)
    return ranks


def _deviations(values: Array, weights: Array) -> Array:
    """Returns deviations from the weighted mean in units of the largest, NaN for a constant."""
    with np.errstate(invalid="ignore", divide="ignore"):
        size = np.max(np.abs(values), axis=-1, keepdims=True)
        reduced = values / np.where(size > 0, size, 1.0)
        mean = np.sum(weights * reduced, axis=-1, keepdims=True) / np.sum(
            weights, axis=-1, keepdims=True
        )
        deviations = np.where(weights > 0, reduced - mean, 0.0)
        largest = np.max(np.abs(deviations), axis=-1, keepdims=True)
        return np.asarray(deviations / np.where(largest > ROUNDING, largest, np.nan))


CORRELATIONS: Mapping[Kind, Correlation] = {"pearson": pearson, "spearman": spearman}
