"""Leave-one-out retraining."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import numpy as np

from fragility.method import JSON
from fragility.procedures._retraining import Retraining
from fragility.procedures.base import Chosen
from fragility.selectors import SELECTORS, Candidates, Selector


class LeaveOneOut(Retraining):
    """Removes one training point at a time, retrains, and takes the change of the test loss.

    `start: warm` begins at the base model's parameters, `start: cold` at initial values. The
    optimizer and its schedule begin anew at the training's learning rate (`state: reset`), or go on
    where the base training left them (`state: resume`). Replicate 0 of a cold start has the base
    model's own initial values, replicate r others. A placebo is retrained beside the removals: it
    removes nothing, and its effect is the drift that all removals share.

    After minibatch training a retraining counts epochs and draws batches. In a `shared` order it
    sees the batches of its base model's training, the removed example's place being empty, so that
    removals and placebo differ by the removal alone. In an `independent` order every retraining
    and replicate draws its own, which adds the noise that retraining in practice has. Warm starts
    in a shared order or on the full batch are deterministic, so they have no replicates.

    Where the objective is convex (a linear model, or `parameters: last_layer`), `solver: newton`
    goes to the optimum itself, whatever way the base model was trained.

    Valid when: base model and retraining both reach the optimum of their objectives.
    Cost: one training for every training point and replicate, and one placebo a replicate.
    Reference: Koh and Liang 2017, section 4.1; Epifano et al. 2023, section 3.
    """

    removes: ClassVar = "point"
    kind: Literal["leave_one_out"] = "leave_one_out"
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
