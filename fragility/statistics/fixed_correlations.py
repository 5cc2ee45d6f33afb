"""Correlations of many fixed pairs of rows as functions of weights.

What `correlations` gives for such weights, with everything that does not depend on
the weights done once: means come from one matrix product, ranks from one sorting.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from fragility.statistics.correlations import Kind, pearson
from fragility.statistics.estimate import Array

OfWeights = Callable[[Array], Array]
"""Weights in, correlations (draws, rows) out, NaN where a row is constant.

Weights are (draws, points) that all rows share, or (draws, rows, points).
"""

CANCELLATION = 1e-3
"""A variance below this share of the mean square has lost digits and is computed again."""

ROUNDING = 1e-12
"""A variance of ranks below this share of its greatest value is rounding: the row is constant."""


def fixed_pearson(x: Array, y: Array) -> OfWeights:
    """Returns the correlations of rows of `x` with rows of `y`, (rows, points)."""
    varied = np.flatnonzero((np.ptp(x, axis=1) > 0) & (np.ptp(y, axis=1) > 0))
    a, b = _unit(x[varied]), _unit(y[varied])
    products = np.stack([a, b, a * a, b * b, a * b])
    flat = products.reshape(-1, products.shape[2]).T

    def of_weights(weights: Array) -> Array:
        own = weights[:, varied] if weights.ndim == 3 else None
        with np.errstate(invalid="ignore", divide="ignore"):
            if own is None:
                sums = (weights @ flat).reshape(len(weights), 5, -1) / weights.sum(axis=1)[
                    :, None, None
                ]
            else:
                sums = np.einsum("drn,prn->dpr", own, products, optimize=True)
                sums /= own.sum(axis=2)[:, None, :]
            mean_a, mean_b, square_a, square_b, product = np.moveaxis(sums, 1, 0)
            spread_a, spread_b = square_a - mean_a**2, square_b - mean_b**2
            known = np.clip((product - mean_a * mean_b) / np.sqrt(spread_a * spread_b), -1.0, 1.0)
        kept = (spread_a > CANCELLATION * square_a) & (spread_b > CANCELLATION * square_b)
        draws, rows = np.nonzero(~kept)
        lost = varied[rows]
        again = weights[draws] if own is None else own[draws, rows]
        known[draws, rows] = pearson(x[lost], y[lost], again)
        found = np.full((len(weights), len(x)), np.nan)
        found[:, varied] = known
        return found

    return of_weights


def fixed_spearman(x: Array, y: Array) -> OfWeights:
    """Returns the rank correlations of rows of `x` with rows of `y`, ties at their midrank."""
    ranks_x, ranks_y = _ranks(x), _ranks(y)

    def of_weights(weights: Array) -> Array:
        rank_x, rank_y = ranks_x(weights), ranks_y(weights)
        own = weights if weights.ndim == 3 else weights[:, None, :]
        weighted = own * rank_x
        covariance = np.einsum("drn,drn->dr", weighted, rank_y)
        spread_x = np.einsum("drn,drn->dr", weighted, rank_x)
        spread_y = np.einsum("drn,drn,drn->dr", np.broadcast_to(own, rank_y.shape), rank_y, rank_y)
        least = ROUNDING * own.sum(axis=2) ** 3
        varied = (spread_x > least) & (spread_y > least)
        scale = np.sqrt(np.where(varied, spread_x * spread_y, np.nan))
        return np.asarray(np.clip(covariance / scale, -1.0, 1.0))

    return of_weights


def _ranks(values: Array) -> OfWeights:
    """Returns midranks (draws, rows, points) less their mean, as a function of the weights."""
    order = np.argsort(values, axis=1)
    ordered = np.take_along_axis(values, order, axis=1)
    rows, points = values.shape
    begin = points * np.arange(rows)[:, None]
    place, ordered_place = (np.argsort(order, axis=1) + begin).ravel(), (order + begin).ravel()
    new = np.ones(values.shape, dtype=bool)
    new[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    tied = not new.all()
    # Where the group of equal values that a place belongs to begins, and where it ends.
    starts = np.maximum.accumulate(np.where(new, np.arange(points), 0), axis=1)
    last = np.roll(new, -1, axis=1)
    last[:, -1:] = True
    backwards = np.where(last, np.arange(points), points)[:, ::-1]
    ends = np.minimum.accumulate(backwards, axis=1)[:, ::-1]
    first, final = (ends_of + points * np.arange(rows)[:, None] for ends_of in (starts, ends))

    def of_weights(weights: Array) -> Array:
        if weights.ndim == 2:
            each = weights.take(order, axis=1)
        else:
            each = weights.reshape(len(weights), -1).take(ordered_place, axis=1)
            each = each.reshape(weights.shape)
        until = np.cumsum(each, axis=2)
        if tied:
            flat = (len(weights), rows * points)
            before = (until - each).reshape(flat).take(first.ravel(), axis=1)
            middle = (before + until.reshape(flat).take(final.ravel(), axis=1)) / 2
        else:
            middle = (until - each / 2).reshape(len(weights), rows * points)
        ranks = middle.take(place, axis=1).reshape(each.shape)
        return np.asarray(ranks - until[:, :, -1:] / 2)

    return of_weights


def _unit(values: Array) -> Array:
    """Returns deviations from the mean in units of the largest."""
    reduced = values / np.abs(values).max(axis=1, keepdims=True, initial=0.0)
    deviations = reduced - reduced.mean(axis=1, keepdims=True)
    return np.asarray(deviations / np.abs(deviations).max(axis=1, keepdims=True, initial=0.0))


FIXED: Mapping[Kind, Callable[[Array, Array], OfWeights]] = {
    "pearson": fixed_pearson,
    "spearman": fixed_spearman,
}
