"""The points with the smallest scores."""

from __future__ import annotations

from typing import Literal

import numpy as np

from fragility.selectors._by_score import ScoreSelector
from fragility.selectors.base import Array, Points


class BottomScore(ScoreSelector):
    """The training points with the smallest |score|, averaged over the chosen test points.

    What an estimator calls unimportant is most of the training set. Their effects show whether it
    is; their order is mostly noise.

    Valid when: the middle of the scores is wanted, say beside `top_score` in a `union`.
    Cost: one retraining for every training point chosen.
    """

    kind: Literal["bottom_score"] = "bottom_score"

    def ranking(self, values: Array) -> Points:
        """Returns the points by rising mean |score|, equal ones by position."""
        return np.argsort(values, kind="stable")
