"""What procedures share that remove training points one at a time."""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np

from fragility.method import JSON
from fragility.procedures.base import Chosen, Procedure
from fragility.selectors import SELECTORS, Candidates, Selector


class OneAtATime(Procedure):
    """A procedure whose slots hold one training point each."""

    removes: ClassVar = "point"

    train_points: Annotated[Selector, SELECTORS]
    """Which training points are removed, one at a time."""

    @property
    def needs_scores_of(self) -> str | None:
        """Label of the estimator whose scores choose the points, if any do."""
        return str(self.train_points.model_dump()["estimator"]) if self._by_scores else None

    @property
    def _by_scores(self) -> bool:
        return self.train_points.needs == "scores"

    @property
    def rule(self) -> tuple[str, str]:
        """The selector of the training points."""
        return "train_points", self.train_points.kind

    def slots(self, n_train: int) -> list[JSON]:
        """Returns the selector's slots."""
        return self.train_points.slots(n_train)

    def choose(self, candidates: Candidates) -> Chosen:
        """Returns the selector's points."""
        points, values = self.train_points.choose(candidates)
        return Chosen(tuple(np.array([point]) for point in points), values)
