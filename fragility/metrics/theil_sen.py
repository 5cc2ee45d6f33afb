"""Median slope between pairs of points."""

from __future__ import annotations

from typing import ClassVar, Literal

from fragility.metrics._ranks import columns_of
from fragility.metrics._slopes import median_slope
from fragility.metrics.base import Array, Metric, Statistic, constant, finite


class TheilSen(Metric):
    """Median slope of effects on scores over all two examples; 1 when scores have the right size.

    What `slope` asks, but up to 29 % of the examples may be anything at all without deciding it.
    Two examples weigh as the product of their weights; those with equal scores are left out.
    Beyond 200 examples each is compared with some 20,000 / n others, the same in every draw.

    Valid when: scores vary; constant effects have slope 0.
    Cost: 20,000 additions a draw, or n if that is more: name it in `metrics` to have it.
    Reference: P. K. Sen, J. Amer. Statist. Assoc. 63 (1968) 1379-1389.
    """

    kind: Literal["theil_sen"] = "theil_sen"
    by_default: ClassVar[bool] = False

    def degenerate(self, scores: Array, effects: Array) -> str | None:
        """Return the reason when scores do not vary."""
        return constant("scores", scores)

    def statistic(self, scores: Array, effects: Array) -> Statistic:
        """Return the median slope as a function of the weights."""
        slope = median_slope(scores, effects)
        return lambda weights: finite(slope(columns_of(weights)))

    def chance(
        self, n: int, scores: Array | None = None, effects: Array | None = None
    ) -> float | None:
        """Return 0: of unrelated lists half of the slopes are negative."""
        return 0.0
