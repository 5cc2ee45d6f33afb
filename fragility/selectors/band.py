"""The points in a narrow band of scores."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from fragility.selectors._by_loss import nearest_in_rank
from fragility.selectors._by_score import ScoreSelector
from fragility.selectors.base import Array, Points


class Band(ScoreSelector):
    """The training points nearest in rank to a percentile of |score|, the nearest first.

    Scores in a band are nearly equal but for their sign, so that a correlation over it says little
    of the estimator: over 20 points of one sign it may be anywhere around 0 while the population's
    is 0.84.

    Valid when: reproducing a protocol that chooses so, or showing what a range restriction does.
    Cost: one retraining for every training point chosen.
    Reference: Basu et al. 2021 (the 30th percentile).
    """

    kind: Literal["band"] = "band"
    percentile: Annotated[float, Field(ge=0, le=100)] = 30.0
    """Percentile of the mean |score| over test points that the band lies around."""

    def ranking(self, values: Array) -> Points:
        """Returns the points by distance in rank from the percentile, the lower first."""
        return nearest_in_rank(values, self.percentile / 100 * (len(values) - 1))
