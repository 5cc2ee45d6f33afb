"""The points whose loss is in the middle."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from fragility.selectors.base import Candidates, CountingSelector


class MedianLoss(CountingSelector):
    """The points whose loss is nearest the median in rank, the median first.

    Valid when: a typical point is wanted instead of an extreme one.
    Cost: one retraining for every training point chosen.
    Reference: Epifano et al. 2023, section 4.2; Basu et al. 2021.
    """

    needs: ClassVar = "losses"
    kind: Literal["median_loss"] = "median_loss"

    def choose(self, candidates: Candidates) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Returns the points by distance in rank from the middle, the lower loss first."""
        order = np.argsort(candidates.losses, kind="stable")
        ranks = np.arange(len(order))
        nearest = np.argsort(np.abs(ranks - (len(order) - 1) / 2), kind="stable")[: self.count]
        points = order[nearest]
        return points, candidates.losses[points].astype(np.float64)
