"""Pearson's correlation."""

from __future__ import annotations

from math import exp, lgamma, pi, sqrt
from typing import ClassVar, Literal

import numpy as np

from fragility.metrics._chance import mean_size
from fragility.metrics._correlation import Correlation
from fragility.metrics._moments import moments, unit
from fragility.metrics.base import Array, Statistic, finite
from fragility.metrics.reliability import Reliability
from fragility.statistics.ceiling import ceiling


class Pearson(Correlation):
    """Linear correlation of scores and effects, -1 to 1.

    Blind to scale and offset: it asks whether effects are a straight-line function of scores, not
    whether they are equal to them (see `slope`, `intercept`, `r2_identity`). One large effect can
    decide it; compare it with `spearman`.

    Valid when: both scores and effects vary.
    Cost: a product of the draws' weights with six columns.
    Reference: K. Pearson, Proc. R. Soc. London 58 (1895) 240-242.
    """

    revision: ClassVar[int] = 2

    kind: Literal["pearson"] = "pearson"

    def signed(self, scores: Array, effects: Array) -> Statistic:
        """Return the correlation as a function of the weights."""
        of_draws = moments(unit(scores).values, unit(effects).values)

        def correlation(weights: Array) -> Array:
            drawn = of_draws(weights)
            with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
                scale = np.sqrt(drawn.variance_x) * np.sqrt(drawn.variance_y)
                return np.clip(finite(drawn.covariance / scale), -1.0, 1.0)

        return correlation

    def chance_size(self, n: int, scores: Array | None, effects: Array | None) -> float:
        """Return the mean over random pairings, within 0.5 %; without lists, for normal ones."""
        if scores is None or effects is None:
            return exp(lgamma((n - 1) / 2) - lgamma(n / 2)) / sqrt(pi)
        return mean_size(scores, effects)

    def ceiling(self, noise: Reliability) -> float | None:
        """Return the correlation of the measured with the true effects."""
        return None if noise.consistency is None else ceiling(noise.consistency, "pearson")
