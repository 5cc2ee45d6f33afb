"""What selectors share that go by an estimator's scores."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np

from fragility.selectors.base import Array, Candidates, Choice, ModelSelector, Points


class ScoreSelector(ModelSelector):
    """Takes the first points of an order by score, averaged over the chosen test points."""

    estimator: str
    """Label of the estimator in this study whose scores are used."""

    @property
    def needs_scores_of(self) -> tuple[str, ...]:
        """The one label."""
        return (self.estimator,)

    def values(self, scores: Array) -> Array:
        """Returns what points are ordered by (size,), of `scores` (T, size): the mean |score|."""
        return mean_size(scores)

    @abstractmethod
    def ranking(self, values: Array) -> Points:
        """Returns the positions of `values` (size,), first choice first."""

    def choose(self, candidates: Candidates) -> Choice:
        """Returns the first points of the ranking."""
        values = self.values(candidates.scores[self.estimator].astype(np.float64))
        points = self.ranking(values)[: self.count]
        return self.chosen(points, values[points])


def mean_size(scores: Array) -> Array:
    """Returns the mean |score| (size,) over test points."""
    mean: Array = np.abs(scores).mean(axis=0)
    return mean
