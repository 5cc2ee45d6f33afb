"""What selectors share that go by the base model's loss."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np
from numpy.typing import NDArray

from fragility.selectors.base import Array, Candidates, Choice, ModelSelector, Points


class LossSelector(ModelSelector):
    """Takes the first points of an order by loss."""

    @abstractmethod
    def ranking(self, losses: NDArray[np.floating]) -> Points:
        """Returns the positions of `losses` (size,), first choice first."""

    def choose(self, candidates: Candidates) -> Choice:
        """Returns the first points of the ranking, chosen by their loss."""
        points = self.ranking(candidates.losses)[: self.count]
        return self.chosen(points, candidates.losses[points].astype(np.float64))


def descending(values: NDArray[np.floating]) -> Points:
    """Returns positions by falling value, equal values by position."""
    return np.argsort(-values, kind="stable")


def nearest_in_rank(values: NDArray[np.floating] | Array, rank: float) -> Points:
    """Returns positions by distance in rank from `rank`, of two as near the lower value first."""
    order = np.argsort(values, kind="stable")
    return order[np.argsort(np.abs(np.arange(len(order)) - rank), kind="stable")]
