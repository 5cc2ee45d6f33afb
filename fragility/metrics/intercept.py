"""Intercept of the regression of effects on scores."""

from __future__ import annotations

from typing import Literal

import numpy as np

from fragility.metrics._moments import moments, unit
from fragility.metrics.base import Array, Metric, Statistic, constant, finite


class Intercept(Metric):
    """Least-squares intercept of effects on scores, in units of the measurable; 0 when right.

    It is the effect common to all removals that no score predicts: drift of a retraining that had
    not converged, or the changed weight of the penalty when a row is dropped.

    Valid when: scores vary.
    Cost: a product of the draws' weights with six columns.
    Reference: ordinary least squares.
    """

    kind: Literal["intercept"] = "intercept"

    def degenerate(self, scores: Array, effects: Array) -> str | None:
        """Return the reason when scores do not vary."""
        return constant("scores", scores)

    def statistic(self, scores: Array, effects: Array) -> Statistic:
        """Return the intercept as a function of the weights."""
        x, y = unit(scores), unit(effects)
        of_draws = moments(x.values, y.values)

        def intercept(weights: Array) -> Array:
            drawn = of_draws(weights)
            with np.errstate(all="ignore"):
                slope = drawn.covariance / drawn.variance_x
                origin = drawn.mean_x + x.centre / x.scale
                return finite(y.centre + y.scale * (drawn.mean_y - slope * origin))

        return intercept

    def chance(
        self, n: int, scores: Array | None = None, effects: Array | None = None
    ) -> float | None:
        """Return the mean effect, exactly: unrelated lists have slope 0."""
        return None if effects is None else float(effects.mean())
