"""Rank correlation among examples of one sign of the score."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np

from fragility.metrics._ranks import Positions, columns_of
from fragility.metrics.base import Array, Metric, Statistic, constant
from fragility.metrics.spearman import Spearman


class WithinSign(Metric):
    """Spearman's correlation among positive scores and among negative ones, averaged by number.

    Examples chosen for their large scores form two clusters, helpful and harmful; telling those
    apart is enough for a high `spearman`. Here nothing but the order inside each cluster counts.
    Scores of 0 are left out.

    Valid when: each sign has enough examples, with scores and effects that vary.
    Cost: that of `spearman`: name it in `metrics` to have it.
    Reference: correlation within strata, weighted by their sizes.
    """

    kind: Literal["within_sign"] = "within_sign"
    by_default: ClassVar[bool] = False

    def degenerate(self, scores: Array, effects: Array) -> str | None:
        """Return the reason when a sign has too few examples, or is constant on one side."""
        for sign, side in _sides(scores).items():
            if len(side) < self.fewest_pairs:
                return (
                    f"{len(side)} of {len(scores)} scores are {sign}; at least "
                    f"{self.fewest_pairs} of each sign are needed"
                )
            reason = constant(f"{sign} scores", scores[side]) or constant(
                f"effects of {sign} scores", effects[side]
            )
            if reason is not None:
                return reason
        return None

    def statistic(self, scores: Array, effects: Array) -> Statistic:
        """Return the averaged correlation as a function of the weights; NaN if a sign has none."""
        spearman = Spearman()
        sides = [
            (side, spearman.statistic(scores[side], effects[side]))
            for side in _sides(scores).values()
        ]

        def correlation(weights: Array) -> Array:
            columns = columns_of(weights)
            found, total = np.zeros(len(weights)), np.zeros(len(weights))
            for side, statistic in sides:
                inside = columns.take(side, axis=0)
                size = inside.sum(axis=0)
                found += size * statistic(inside.T)
                total += size
            with np.errstate(invalid="ignore"):
                averaged: Array = found / total
            return averaged

        return correlation

    def chance(
        self, n: int, scores: Array | None = None, effects: Array | None = None
    ) -> float | None:
        """Return 0."""
        return 0.0


def _sides(scores: Array) -> dict[str, Positions]:
    return {"positive": np.flatnonzero(scores > 0), "negative": np.flatnonzero(scores < 0)}
