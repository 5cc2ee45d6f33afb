"""Intercept of the line through the medians with the median slope."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np

from fragility.metrics._medians import median
from fragility.metrics._ranks import columns_of
from fragility.metrics._slopes import median_slope
from fragility.metrics.base import Array, Metric, Statistic, constant, finite


class TheilSenIntercept(Metric):
    """Median effect less `theil_sen` times median score, in units of the measurable; 0 when right.

    The effect common to all removals that no score predicts, as `intercept`, but not moved by a
    few large effects.

    Valid when: scores vary.
    Cost: that of `theil_sen`: name it in `metrics` to have it.
    Reference: W. J. Conover, Practical Nonparametric Statistics, 2nd ed. (1980) 267.
    """

    kind: Literal["theil_sen_intercept"] = "theil_sen_intercept"
    by_default: ClassVar[bool] = False

    def degenerate(self, scores: Array, effects: Array) -> str | None:
        """Return the reason when scores do not vary."""
        return constant("scores", scores)

    def statistic(self, scores: Array, effects: Array) -> Statistic:
        """Return the intercept as a function of the weights."""
        slope = median_slope(scores, effects)
        middle_x, middle_y = median(scores), median(effects)

        def intercept(weights: Array) -> Array:
            columns = columns_of(weights)
            with np.errstate(all="ignore"):
                return finite(middle_y(columns) - slope(columns) * middle_x(columns))

        return intercept

    def chance(
        self, n: int, scores: Array | None = None, effects: Array | None = None
    ) -> float | None:
        """Return the median effect: the slope of unrelated lists is 0."""
        return None if effects is None else float(np.median(effects))
