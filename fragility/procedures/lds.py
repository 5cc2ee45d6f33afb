"""The linear datamodeling score: retraining on random subsets of the training set."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field, PositiveInt

from fragility.errors import UsageError
from fragility.groups.random import Random
from fragility.method import JSON
from fragility.procedures._retraining import Retraining
from fragility.procedures.base import Chosen
from fragility.selectors import Candidates


class LinearDatamodeling(Retraining):
    """Trains on random subsets of the training set, and takes the change of the loss.

    The score of a subset is that of the group it leaves out, the sum over its members. Spearman's
    correlation at each test point is the linear datamodeling score; the protocol `lds` averages it.
    Its authors measure `measurable: margin`, and average the subsets over several `replicates`.
    Retraining starts from initial values, as a subset's own model would.

    Half of the data is far from a removal at the margin: the score is asked for the bulk of the
    examples, and first order need not hold.

    Valid when: `subsets` is large enough that the correlation over them has a narrow interval.
    Cost: `subsets` times `replicates` trainings, and one placebo a replicate.
    Reference: Ilyas et al. 2022, section 3; Park et al. 2023, section 2.
    """

    removes: ClassVar = "group"
    elsewhere: ClassVar = Retraining.elsewhere | {"subsets", "fraction"}
    kind: Literal["lds"] = "lds"
    subsets: PositiveInt = 100
    """Number of subsets."""
    fraction: Annotated[float, Field(gt=0, lt=1)] = 0.5
    """Share of the training set that each subset keeps."""
    start: Literal["warm", "cold"] = "cold"
    """Where a retraining starts: at the base model's parameters, or at initial values."""

    @property
    def truth(self) -> str:
        """Training on subsets, begun and repeated in some way."""
        return f"subsets, {super().truth}"

    @property
    def rule(self) -> tuple[str, str]:
        """Random groups, of a size that follows from the fraction."""
        return "fraction", "random"

    def slots(self, n_train: int) -> list[JSON]:
        """Returns the size and the place of each group that is left out."""
        return self._left_out(n_train).slots(n_train)

    def choose(self, candidates: Candidates) -> Chosen:
        """Returns the groups that are left out, chosen by no value."""
        members = self._left_out(len(candidates)).draw(candidates)
        return Chosen(tuple(members), np.full(len(members), np.nan))

    def _left_out(self, n_train: int) -> Random:
        size = n_train - round(self.fraction * n_train)
        if not 0 < size < n_train:
            raise UsageError(
                f"`fraction` {self.fraction:g} keeps {n_train - size} of {n_train} training"
                " examples."
            )
        return Random(sizes=(float(size),), count=self.subsets)
