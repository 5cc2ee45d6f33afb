"""The points with the highest loss."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from fragility.selectors.base import Candidates, CountingSelector


class TopLoss(CountingSelector):
    """The points on which the base model's loss is highest, highest first.

    Valid when: the question is about hard points; an extreme order statistic, not a sample.
    Cost: one retraining for every training point chosen.
    Reference: Epifano et al. 2023 choose training points so; Koh and Liang 2017 test points.
    """

    needs: ClassVar = "losses"
    kind: Literal["top_loss"] = "top_loss"

    def choose(self, candidates: Candidates) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Returns the points by falling loss, equal losses by position."""
        points = np.argsort(-candidates.losses, kind="stable")[: self.count]
        return points, candidates.losses[points].astype(np.float64)
