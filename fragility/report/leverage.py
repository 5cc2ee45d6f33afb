"""What is left between exact scores and retraining of a convex model: leverage.

Removing training point i moves the optimum of a least-squares problem in the direction that the
score follows, by 1/(1 - h_i) times as much; h_i is the point's leverage (Cook and Weisberg 1982,
section 2.2). In other convex problems this holds to first order. A score predicts the change of the
test loss by the slope of the loss; the loss is known, and so is its change along the same way: from
the loss alone follows where on its curve a test point is.

So one number a removed point is left over, the same at all test points: it is found at one half of
them and has to predict what was measured at the other.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

STEPS = 50


@dataclass(frozen=True)
class Curve:
    """A loss along a way z from where it is `loss`: its value and its derivative there."""

    value: Callable[[Values], Values]
    slope: Callable[[Values], Values]


def squared_error(loss: Values) -> Curve:
    """Returns (r + z)^2 along the residual r; its sign does not matter."""
    residual = np.sqrt(loss)
    return Curve(lambda z: (residual + z) ** 2, lambda z: 2 * (residual + z))


def cross_entropy(loss: Values) -> Curve:
    """Returns log(1 + exp(-(m + z))) along the margin m between two classes."""
    margin = -np.log(np.expm1(loss))
    return Curve(
        lambda z: np.logaddexp(0.0, -(margin + z)), lambda z: -1 / (1 + np.exp(margin + z))
    )


@dataclass(frozen=True)
class Leverages:
    """Leverages (removals,), and what they predict at the other test points beside the measured.

    `predicted` and `measured` are (tests, removals).
    """

    values: Values
    predicted: Values
    measured: Values

    @property
    def correlations(self) -> Values:
        """Pearson's correlation of predicted with measured effects at each test point."""
        pairs = zip(self.predicted, self.measured, strict=True)
        return np.array([np.corrcoef(one, other)[0, 1] for one, other in pairs])


def leverages(
    scores: Values, effects: Values, loss: Values, curve: Callable[[Values], Curve]
) -> Leverages:
    """Returns the leverages that the even test points tell, held against the odd ones.

    Args:
        scores: of shape (tests, removals), as all others.
        effects: what was measured.
        loss: each test point's loss before a removal.
        curve: how the loss goes on from there.
    """
    here, there = slice(0, None, 2), slice(1, None, 2)
    factor = np.ones(scores.shape[1])
    along, start = curve(loss[here]), scores[here] / curve(loss[here]).slope(np.zeros(1))
    for _ in range(STEPS):
        left = effects[here] - (along.value(factor * start) - loss[here])
        slope = along.slope(factor * start) * start
        factor = factor + (slope * left).sum(axis=0) / (slope**2).sum(axis=0)
    other = curve(loss[there])
    way = factor * scores[there] / other.slope(np.zeros(1))
    return Leverages(1 - 1 / factor, other.value(way) - loss[there], effects[there])
