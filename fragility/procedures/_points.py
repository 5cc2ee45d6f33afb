"""What procedures share that remove training points one at a time."""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np

from fragility.errors import MethodFailure
from fragility.method import JSON
from fragility.procedures.base import Chosen, Procedure
from fragility.selectors import SELECTORS, Candidates, Selector


class OneAtATime(Procedure):
    """A procedure whose slots hold one training point each."""

    removes: ClassVar = "point"

    train_points: Annotated[Selector, SELECTORS]
    """Which training points are removed, one at a time."""

    @property
    def chooses_by(self) -> Selector:
        """The selector of the training points."""
        return self.train_points

    @property
    def rule(self) -> tuple[str, str]:
        """The selector of the training points."""
        return "train_points", self.train_points.kind

    def slots(self, n_train: int) -> list[JSON]:
        """Returns the selector's slots."""
        return self.train_points.slots(n_train)

    def choose(self, candidates: Candidates) -> Chosen:
        """Returns the selector's points."""
        choice = self.train_points.choose(candidates)
        asked = len(self.train_points.slots(len(candidates)))
        if len(choice.points) < asked:
            raise MethodFailure(
                f"`{self.train_points.kind}` finds {len(choice.points)} training points of the "
                f"{asked} that are asked for.",
                "Give a smaller `count`.",
            )
        members = tuple(np.array([point]) for point in choice.points)
        return Chosen(members, choice.values, choice.probabilities, choice.roles)
