"""The points with the largest scores."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from fragility.method import JSON
from fragility.selectors.base import Candidates, CountingSelector


class TopScore(CountingSelector):
    """The training points with the largest |score|, averaged over the chosen test points.

    Selecting on the estimate mixes its two signs' extremes and leaves out the middle: a correlation
    over these points alone is not that of the population.

    Valid when: reproducing a protocol that chooses so; only for training points.
    Cost: one retraining for every training point chosen.
    Reference: Koh and Liang 2017; Basu et al. 2021.
    """

    needs: ClassVar = "scores"
    kind: Literal["top_score"] = "top_score"
    estimator: str
    """Label of the estimator in this study whose scores are used."""

    def slots(self, size: int) -> list[JSON]:
        """Returns the places; the estimator enters by its scores, not by its label."""
        return [
            {key: value for key, value in slot.items() if key != "estimator"}
            for slot in super().slots(size)
            if isinstance(slot, dict)
        ]

    def choose(self, candidates: Candidates) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Returns the points by falling mean |score|, equal ones by position."""
        assert candidates.scores is not None
        size = np.abs(candidates.scores).mean(axis=0)
        points = np.argsort(-size, kind="stable")[: self.count]
        return points, size[points]
