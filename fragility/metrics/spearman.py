"""Spearman's rank correlation."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np

from fragility.metrics._chance import mean_size
from fragility.metrics._correlation import Correlation
from fragility.metrics._ranks import columns_of, midranks, normalized, ties
from fragility.metrics.base import Array, Statistic
from fragility.metrics.reliability import Reliability
from fragility.statistics.ceiling import ceiling


class Spearman(Correlation):
    """Correlation of the ranks of scores and effects, -1 to 1, ties at their midrank.

    It asks whether scores put examples in the right order, whatever their size; it cannot see that
    the large effects are right and the many small ones are noise.

    Valid when: both scores and effects vary.
    Cost: n additions a draw, after one sort.
    Reference: C. Spearman, Am. J. Psychol. 15 (1904) 72-101.
    """

    revision: ClassVar[int] = 2

    kind: Literal["spearman"] = "spearman"

    def signed(self, scores: Array, effects: Array) -> Statistic:
        """Return the rank correlation as a function of the weights."""
        x, y = ties(scores), ties(effects)

        def correlation(weights: Array) -> Array:
            columns = columns_of(weights)
            total = columns.sum(axis=0)
            groups_x, groups_y = x.weights(columns), y.weights(columns)
            product = midranks(groups_x, total).take(x.group, axis=0)
            product *= midranks(groups_y, total).take(y.group, axis=0)
            covariance = 12 * np.einsum("nd,nd->d", columns, product)
            cube = total**3
            spread_x = cube - np.einsum("nd,nd,nd->d", groups_x, groups_x, groups_x)
            spread_y = cube - np.einsum("nd,nd,nd->d", groups_y, groups_y, groups_y)
            return normalized(covariance, spread_x, spread_y, cube)

        return correlation

    def chance_size(self, n: int, scores: Array | None, effects: Array | None) -> float:
        """Return the mean over random pairings, within 0.5 %; without lists, for no ties."""
        if scores is None or effects is None:
            return mean_size(np.arange(n, dtype=float), np.arange(n, dtype=float))
        return mean_size(_ranks(scores), _ranks(effects))

    def ceiling(self, noise: Reliability) -> float | None:
        """Return the rank correlation of the measured with the true effects, from their ranks."""
        return None if noise.ranks is None else ceiling(noise.ranks, "spearman")


def _ranks(values: Array) -> Array:
    groups = ties(values)
    ones = np.ones((len(values), 1))
    ranks: Array = midranks(groups.weights(ones), ones.sum(axis=0))[groups.group, 0]
    return ranks
