"""The points whose loss is in the middle."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fragility.selectors._by_loss import LossSelector, nearest_in_rank
from fragility.selectors.base import Points


class MedianLoss(LossSelector):
    """The points whose loss is nearest the median in rank, the median first.

    Valid when: a typical point is wanted instead of an extreme one.
    Cost: one retraining for every training point chosen.
    Reference: Epifano et al. 2023, section 4.2; Basu et al. 2021.
    """

    kind: Literal["median_loss"] = "median_loss"

    def ranking(self, losses: NDArray[np.floating]) -> Points:
        """Returns the points by distance in rank from the middle, the lower loss first."""
        return nearest_in_rank(losses, (len(losses) - 1) / 2)
