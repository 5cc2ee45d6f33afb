"""Slope of the regression of effects on scores."""

from __future__ import annotations

from typing import Literal

import numpy as np

from fragility.metrics._moments import moments, unit
from fragility.metrics.base import Array, Metric, Statistic, constant, finite


class Slope(Metric):
    """Least-squares slope of effects on scores; 1 when scores have the right size.

    Above 1 scores are too small, below 1 too large, negative: the wrong sign. Noise in the effects
    widens its interval but does not bias it, so it has no ceiling.

    Valid when: scores vary; constant effects have slope 0.
    Cost: a product of the draws' weights with six columns.
    Reference: ordinary least squares.
    """

    kind: Literal["slope"] = "slope"

    def degenerate(self, scores: Array, effects: Array) -> str | None:
        """Return the reason when scores do not vary."""
        return constant("scores", scores)

    def statistic(self, scores: Array, effects: Array) -> Statistic:
        """Return the slope as a function of the weights."""
        x, y = unit(scores), unit(effects)
        of_draws = moments(x.values, y.values)

        def slope(weights: Array) -> Array:
            drawn = of_draws(weights)
            with np.errstate(all="ignore"):
                return finite(drawn.covariance / drawn.variance_x * y.scale / x.scale)

        return slope

    def chance(
        self, n: int, scores: Array | None = None, effects: Array | None = None
    ) -> float | None:
        """Return 0."""
        return 0.0
