"""Groups from a tail of the scores."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from fragility.groups.base import Grouping
from fragility.selectors import Candidates


class TopScore(Grouping):
    """Groups drawn from the training points of highest, or lowest, score.

    The score is the mean over the chosen test points. A group of s members is a sample of the
    `spread` times s points of most extreme score, so that groups of one size differ.

    Valid when: large effects are wanted; a selection on the estimate, which favours it.
    Cost: one retraining a group.
    Reference: Koh et al. 2019, section 4 (tails of the influence).
    """

    kind: Literal["top_score"] = "top_score"
    estimator: str
    """Label of the estimator in this study whose scores are used."""
    tail: Literal["positive", "negative"] = "positive"
    """The points whose removal is predicted to raise the loss, or to lower it."""
    spread: float = Field(default=1.5, ge=1)
    """Points that a group is drawn from, as a multiple of its size."""

    @property
    def needs_scores_of(self) -> tuple[str, ...]:
        """The one label."""
        return (self.estimator,)

    def members(
        self, candidates: Candidates, size: int, generator: np.random.Generator
    ) -> NDArray[np.int64]:
        """Returns a sample of the tail."""
        mean = candidates.scores[self.estimator].mean(axis=0)
        order = np.argsort(-mean if self.tail == "positive" else mean, kind="stable")
        pool = order[: min(len(order), round(self.spread * size))]
        return generator.choice(pool, size, replace=False)
