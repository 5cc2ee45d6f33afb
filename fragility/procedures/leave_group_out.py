"""Retraining without groups of training points."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import numpy as np

from fragility.groups import GROUPS, Grouping
from fragility.method import JSON
from fragility.procedures._retraining import Retraining
from fragility.procedures.base import Chosen
from fragility.selectors import Candidates


class LeaveGroupOut(Retraining):
    """Removes one group of training points at a time, retrains, and takes the change of the loss.

    Everything but what is removed is as in `leave_one_out`, placebo and replicates included. A
    group's score is the sum of its members' scores, or what the estimator's `groups` says. Groups
    move the model further than single points: their effects stand out of the noise of retraining,
    and leave the range in which the first order holds.

    Under `removal: drop` the mean runs over what is left, which weighs the rest up: a change that
    all groups of one size share, and that the scores do not hold. `zero_weight` leaves it out.

    Valid when: base model and retraining both reach the optimum of their objectives.
    Cost: one training for every group and replicate, and one placebo a replicate.
    Reference: Koh et al. 2019; Basu et al. 2020.
    """

    removes: ClassVar = "group"
    kind: Literal["leave_group_out"] = "leave_group_out"
    groups: Annotated[Grouping, GROUPS]
    """Which groups are removed."""

    @property
    def truth(self) -> str:
        """Retraining without groups, begun and repeated in some way."""
        return f"groups, {super().truth}"

    @property
    def needs_scores_of(self) -> tuple[str, ...]:
        """Labels of the estimators whose scores the groups are drawn by."""
        return self.groups.needs_scores_of

    @property
    def rule(self) -> tuple[str, str]:
        """The grouping."""
        return "groups", self.groups.kind

    def slots(self, n_train: int) -> list[JSON]:
        """Returns the grouping's slots."""
        return self.groups.slots(n_train)

    def choose(self, candidates: Candidates) -> Chosen:
        """Returns the groups, chosen by no value."""
        members = self.groups.draw(candidates)
        return Chosen(tuple(members), np.full(len(members), np.nan))
