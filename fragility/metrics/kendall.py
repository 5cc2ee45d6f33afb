"""Kendall's rank correlation."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np

from fragility.metrics._correlation import Correlation
from fragility.metrics._inversions import inversions
from fragility.metrics._ranks import columns_of, normalized, ties
from fragility.metrics.base import Array, Statistic
from fragility.metrics.reliability import Reliability
from fragility.statistics.ceiling import ceiling


class Kendall(Correlation):
    """Kendall's tau-b: pairs of examples in the same order less pairs in opposite order, -1 to 1.

    Of two examples, tau-b without ties is the chance of ranking them rightly less that of ranking
    them wrongly; ties in either variable are taken out of the count.

    Valid when: both scores and effects vary.
    Cost: n log2(n) additions a draw, after sorting once.
    Reference: M. G. Kendall, Biometrika 33 (1945) 239-251.
    """

    revision: ClassVar[int] = 2

    kind: Literal["kendall"] = "kendall"

    def signed(self, scores: Array, effects: Array) -> Statistic:
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

    def chance_size(self, n: int, scores: Array | None, effects: Array | None) -> float:
        """Return the mean over all pairings, within 0.5 % from 8 pairs on and 4 % at 4.

        The variance is exact (Kendall 1945, with ties), the mean size that of a normal variable
        corrected for the kurtosis without ties.
        """
        ranks = np.arange(1.0, n + 1)
        kurtosis = -1.2 * np.sum(ranks**4 - 1) / np.sum(ranks**2 - 1) ** 2
        pairs_x, triples_x, rest_x = _tied(n, scores)
        pairs_y, triples_y, rest_y = _tied(n, effects)
        pairs, triples = n * (n - 1), n * (n - 1) * max(n - 2, 1)
        balance = (pairs * (2 * n + 5) - rest_x - rest_y) / 18
        balance += pairs_x * pairs_y / (2 * pairs) + triples_x * triples_y / (9 * triples)
        variance = 4 * balance / (pairs - pairs_x) / (pairs - pairs_y)
        return float(np.sqrt(2 * variance / np.pi) * (1 - kurtosis / 24))

    def ceiling(self, noise: Reliability) -> float | None:
        """Return tau of the measured with the true effects, from their ranks."""
        return None if noise.ranks is None else ceiling(noise.ranks, "kendall")


def _tied(n: int, values: Array | None) -> tuple[float, float, float]:
    """Return sums over groups of t equal values: t(t-1), t(t-1)(t-2) and t(t-1)(2t+5)."""
    counts = np.ones(n) if values is None else np.bincount(ties(values).group).astype(np.float64)
    pairs = counts * (counts - 1.0)
    return float(pairs.sum()), float((pairs * (counts - 2)).sum()), float(pairs @ (2 * counts + 5))
