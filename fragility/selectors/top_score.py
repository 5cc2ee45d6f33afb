"""The points with the largest scores."""

from __future__ import annotations

from typing import Literal

import numpy as np

from fragility.method import JSON
from fragility.selectors._by_loss import descending
from fragility.selectors._by_score import ScoreSelector, mean_size
from fragility.selectors.base import Array, Points


class TopScore(ScoreSelector):
    """The training points with the largest scores, averaged over the chosen test points.

    `sign: absolute` goes by the mean |score|, `positive` by the mean score, `negative` by its
    negative. Selecting on the estimate mixes its two signs' extremes and leaves out the middle: a
    correlation over these points alone is not that of the population.

    Valid when: reproducing a protocol that chooses so; only for training points.
    Cost: one retraining for every training point chosen.
    Reference: Koh and Liang 2017; Basu et al. 2021.
    """

    kind: Literal["top_score"] = "top_score"
    sign: Literal["absolute", "positive", "negative"] = "absolute"
    """Which scores are large: both ways, those of helping points, or those of harming ones."""

    def slots(self, size: int) -> list[JSON]:
        """Returns the places."""
        return [
            # There were absolute scores before there was a sign.
            {key: value for key, value in slot.items() if (key, value) != ("sign", "absolute")}
            for slot in super().slots(size)
            if isinstance(slot, dict)
        ]

    def values(self, scores: Array) -> Array:
        """Returns the mean |score|, or the mean score."""
        return mean_size(scores) if self.sign == "absolute" else np.asarray(scores.mean(axis=0))

    def ranking(self, values: Array) -> Points:
        """Returns the points from the largest, equal ones by position."""
        return descending(-values if self.sign == "negative" else values)
