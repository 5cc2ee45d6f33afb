"""Kendall's rank correlation."""

from __future__ import annotations

from typing import Literal

import numpy as np

from fragility.metrics._inversions import inversions
from fragility.metrics._ranks import columns_of, normalized, ties
from fragility.metrics.base import Array, Metric, Statistic


class Kendall(Metric):
    """Kendall's tau-b: pairs of examples in the same order less pairs in opposite order, -1 to 1.

    Of two examples, tau-b without ties is the chance of ranking them rightly less that of ranking
    them wrongly; ties in either variable are taken out of the count.

    Valid when: both scores and effects vary.
    Cost: n log2(n) additions a draw, after sorting once.
    Reference: M. G. Kendall, Biometrika 33 (1945) 239-251.
    """

    kind: Literal["kendall"] = "kendall"

    def statistic(self, scores: Array, effects: Array) -> Statistic:
        """Return tau-b as a function of the weights."""
        x, y, both = ties(scores), ties(effects), ties(scores, effects)
        # Examples tied in their score stand in ascending order of effect: they are not inverted.
        inverted = inversions(y.group[both.order])

        def tau(weights: Array) -> Array:
            columns = columns_of(weights)
            square = columns.sum(axis=0) ** 2
            tied_x, tied_y, tied_both = (
                np.einsum("nd,nd->d", groups, groups)
                for groups in (x.weights(columns), y.weights(columns), both.weights(columns))
            )
            discordant = 2 * inverted(columns.take(both.order, axis=0))
            balance = square - tied_x - tied_y + tied_both - 2 * discordant
            return normalized(balance, square - tied_x, square - tied_y, square)

        return tau

    def ceiling(self, reliability: float) -> float | None:
        """Return tau of normal variables whose correlation is Pearson's ceiling (Greiner)."""
        return float(2 / np.pi * np.arcsin(np.sqrt(reliability)))
