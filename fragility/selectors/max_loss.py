"""The test points with the highest loss."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fragility.selectors._by_loss import LossSelector, descending
from fragility.selectors.base import Points


class MaxLoss(LossSelector):
    """The test point that the base model gets most wrong, or the `count` of highest loss.

    The rule of `top_loss` under the name that the literature gives it for test points. The point
    is often mislabelled and another one in every repeat, unless `fix_across_repeats` holds it.

    Valid when: reproducing a protocol that chooses so; an extreme order statistic, not a sample.
    Cost: none beyond the base model, for a test point.
    Reference: Koh and Liang 2017; Basu et al. 2021; Epifano et al. 2023.
    """

    kind: Literal["max_loss"] = "max_loss"

    def ranking(self, losses: NDArray[np.floating]) -> Points:
        """Returns the points by falling loss, equal losses by position."""
        return descending(losses)
