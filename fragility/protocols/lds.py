"""The linear datamodeling score."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from fragility.protocols._rules import Rule
from fragility.protocols._stored import Stored
from fragility.protocols.base import Protocol


class LDS(Protocol):
    """Spearman's correlation over removed groups, averaged over test points.

    A group's score, the sum of its members', is held against the effect of removing it, averaged
    over retrainings. Usual are 100 random subsets of half of the training set.

    Averaging over retrainings is part of its definition, how many is not: published figures use 1
    to 100. Half of the data tests the bulk of the scores; one outlying score can wreck it.

    Valid when: a procedure of the study removes groups.
    Cost: none; stored scores and effects are read again.
    Reference: Park et al. 2023, TRAK: Attributing Model Behavior at Scale, definition 2.3.
    """

    truths = tuple(
        f"{removed}, {retraining}"
        for removed in ("subsets", "groups")
        for retraining in ("cold over seeds", "cold", "warm over orders", "warm")
    )
    groups = True
    truths_in_words = "retraining without groups of points"

    kind: Literal["lds"] = "lds"
    subsets: Annotated[int, Field(ge=4)] = 10
    """How many groups there must be at least."""

    def fewest(self) -> int:
        """Returns `subsets`."""
        return self.subsets

    def rule(self, stored: Stored) -> Rule:
        """Returns: all test points, all groups, mean of replicates, Spearman per test point."""
        return Rule("all", "all", "mean", "spearman", "per_test")
