"""What Pearson, Spearman and Kendall have in common: a sign, and the choice to drop it."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np

from fragility.metrics.base import Array, Metric, Statistic


class Correlation(Metric):
    """A correlation, -1 to 1, 0 on average for unrelated lists; or its size, 0 to 1."""

    absolute: bool = False
    """Drop the sign, as the figures of Epifano et al. (2023) do: scores of the wrong sign then look
    right, and unrelated lists no longer give 0 but the `chance` that stands beside the value."""

    @property
    def label(self) -> str:
        """The kind, between bars when absolute: both may stand in one study."""
        return f"|{self.kind}|" if self.absolute else self.kind

    @abstractmethod
    def signed(self, scores: Array, effects: Array) -> Statistic:
        """Return the correlation as a function of the weights."""

    @abstractmethod
    def chance_size(self, n: int, scores: Array | None, effects: Array | None) -> float:
        """Return the mean absolute correlation of unrelated lists."""

    def statistic(self, scores: Array, effects: Array) -> Statistic:
        """Return the correlation, or its size, as a function of the weights."""
        signed = self.signed(scores, effects)
        if not self.absolute:
            return signed

        def size(weights: Array) -> Array:
            return np.abs(signed(weights))

        return size

    def chance(
        self, n: int, scores: Array | None = None, effects: Array | None = None
    ) -> float | None:
        """Return 0, or the mean size of the correlation of unrelated lists."""
        return self.chance_size(n, scores, effects) if self.absolute else 0.0
