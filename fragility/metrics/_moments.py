"""Weighted means, variances and covariance of two variables, for many weightings at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from fragility.metrics.base import Array

CANCELLATION = 1e-3
"""A variance below this share of the mean square has lost digits and is computed again."""


@dataclass(frozen=True)
class Unit:
    """A variable as `centre + scale * values`, |values| at most 1, `scale` a power of two."""

    values: Array
    centre: float
    scale: float


@dataclass(frozen=True)
class Moments:
    """Moments of x and y for each draw (draws,), in the units of `Unit.values`; NaN: no weight.

    A variance is 0 exactly when the draw is constant.
    """

    mean_x: Array
    mean_y: Array
    variance_x: Array
    variance_y: Array
    covariance: Array


def unit(values: Array) -> Unit:
    """Return `values` (n,) centred and scaled, so that squares neither overflow nor vanish."""
    exponent = int(np.frexp(np.abs(values).max())[1]) + 1
    reduced = np.ldexp(values, -exponent)
    centre = float(reduced.mean())
    spread = int(np.frexp(np.abs(reduced - centre).max())[1])
    with np.errstate(over="ignore"):
        scale = float(np.ldexp(1.0, exponent + spread))
    return Unit(
        values=np.ldexp(reduced - centre, -spread),
        centre=float(np.ldexp(centre, exponent)),
        scale=scale,
    )


def moments(x: Array, y: Array) -> Callable[[Array], Moments]:
    """Return the moments of `x` (n,) and `y` (n,) as a function of weights (draws, n).

    One matrix product for all draws; those in which it cancels (a constant, an outlier left out)
    are computed again from deviations.
    """
    columns = np.stack([np.ones_like(x), x, y, x * x, y * y, x * y], axis=1)

    def of_draws(weights: Array) -> Moments:
        total, *sums = (weights @ columns).T
        with np.errstate(invalid="ignore"):
            mean_x, mean_y, square_x, square_y, product = (column / total for column in sums)
        result = np.stack(
            [mean_x, mean_y, square_x - mean_x**2, square_y - mean_y**2, product - mean_x * mean_y]
        )
        kept = (result[2] > CANCELLATION * square_x) & (result[3] > CANCELLATION * square_y)
        lost = ~kept & (total > 0)
        if lost.any():
            result[:, lost] = _from_deviations(x, y, weights[lost])
        return Moments(*result)

    return of_draws


def _from_deviations(x: Array, y: Array, weights: Array) -> Array:
    """Return the five rows of `Moments` for draws that have some weight."""
    total = weights.sum(axis=1)
    mean_x, span_x, x = _deviations(x, weights, total)
    mean_y, span_y, y = _deviations(y, weights, total)
    return np.stack(
        [
            mean_x,
            mean_y,
            np.einsum("dn,dn,dn->d", weights, x, x) / total * span_x * span_x,
            np.einsum("dn,dn,dn->d", weights, y, y) / total * span_y * span_y,
            np.einsum("dn,dn,dn->d", weights, x, y) / total * span_x * span_y,
        ]
    )


def _deviations(values: Array, weights: Array, total: Array) -> tuple[Array, Array, Array]:
    """Return mean and span of each draw, and the deviations from the mean in units of the span.

    The smallest and the largest value of a draw lie exactly 0 and 1 spans up, so that only a
    constant draw has no variance.
    """
    present = weights > 0
    low = np.where(present, values, np.inf).min(axis=1)
    span = np.where(present, values, -np.inf).max(axis=1) - low
    divisor = np.where(span > 0, span, 1.0)[:, None]
    steps = np.where(present, values - low[:, None], 0.0) / divisor
    mean = np.einsum("dn,dn->d", weights, steps) / total
    return low + span * mean, span, np.where(present, steps - mean[:, None], 0.0)
