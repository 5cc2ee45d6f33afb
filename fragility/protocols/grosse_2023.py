"""The protocol of Grosse et al. 2023."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from fragility.protocols._rules import Rule
from fragility.protocols._stored import Stored
from fragility.protocols.base import Protocol


class Grosse2023(Protocol):
    """Pearson's correlation with the proximal Bregman response, over random training points.

    The paper takes 500 random training points, and averages over 10 seeds with other test points;
    of fewer removed points all are taken. Leave-one-out retraining is "not a close match to what
    influence functions are approximating anyway", so that it is not the truth here.

    Of noise it says that the proximal objective is itself a stochastic optimization problem; here
    it is solved to its optimum. Random points are a fair sample, if those removed were.

    Valid when: the study has a procedure of kind `pbrf`.
    Cost: none; stored scores and effects are read again.
    Reference: Grosse et al. 2023, Studying Large Language Model Generalization with Influence
    Functions, section 5.1.
    """

    truths = ("pbrf",)
    truths_in_words = "proximal Bregman response (a procedure of kind `pbrf`)"

    kind: Literal["grosse-2023"] = "grosse-2023"
    points: Annotated[int, Field(ge=4)] = 500
    """How many removed points are drawn at most."""

    def rule(self, stored: Stored) -> Rule:
        """Returns: all test points, random points, Pearson averaged over test points."""
        count = self.points if self.points < len(stored.removed) else None
        return Rule("all", "random", "mean", "pearson", "per_test", count)
