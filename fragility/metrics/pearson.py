"""Pearson's correlation."""

from __future__ import annotations

from typing import Literal

import numpy as np

from fragility.metrics._moments import moments, unit
from fragility.metrics.base import Array, Metric, Statistic, finite


class Pearson(Metric):
    """Linear correlation of scores and effects, -1 to 1.

    Blind to scale and offset: it asks whether effects are a straight-line function of scores, not
    whether they are equal to them (see `slope`, `intercept`, `r2_identity`). One large effect can
    decide it; compare it with `spearman`.

    Valid when: both scores and effects vary.
    Cost: a product of the draws' weights with six columns.
    Reference: K. Pearson, Proc. R. Soc. London 58 (1895) 240-242.
    """

    kind: Literal["pearson"] = "pearson"

    def statistic(self, scores: Array, effects: Array) -> Statistic:
        """Return the correlation as a function of the weights."""
        of_draws = moments(unit(scores).values, unit(effects).values)

        def correlation(weights: Array) -> Array:
            drawn = of_draws(weights)
            with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
                scale = np.sqrt(drawn.variance_x) * np.sqrt(drawn.variance_y)
                return np.clip(finite(drawn.covariance / scale), -1.0, 1.0)

        return correlation

    def ceiling(self, reliability: float) -> float | None:
        """Return the correlation of the measured with the true effects."""
        return float(np.sqrt(reliability))
