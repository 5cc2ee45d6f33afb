"""The points with the highest loss."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fragility.selectors._by_loss import LossSelector, descending
from fragility.selectors.base import Points


class TopLoss(LossSelector):
    """The points on which the base model's loss is highest, highest first.

    Valid when: the question is about hard points; an extreme order statistic, not a sample.
    Cost: one retraining for every training point chosen.
    Reference: Epifano et al. 2023 choose training points so; Koh and Liang 2017 test points.
    """

    kind: Literal["top_loss"] = "top_loss"

    def ranking(self, losses: NDArray[np.floating]) -> Points:
        """Returns the points by falling loss, equal losses by position."""
        return descending(losses)
