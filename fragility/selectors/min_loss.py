"""The points with the lowest loss."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fragility.selectors._by_loss import LossSelector
from fragility.selectors.base import Points


class MinLoss(LossSelector):
    """The points on which the base model's loss is lowest, lowest first.

    A saturated loss hardly moves: effects of removal on such a test point are the smallest there
    are, and the first to drown in the noise of retraining.

    Valid when: the other extreme to `max_loss` is wanted.
    Cost: one retraining for every training point chosen.
    """

    kind: Literal["min_loss"] = "min_loss"

    def ranking(self, losses: NDArray[np.floating]) -> Points:
        """Returns the points by rising loss, equal losses by position."""
        return np.argsort(losses, kind="stable")
