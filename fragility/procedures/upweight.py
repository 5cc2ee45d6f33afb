"""Retraining with one example's weight changed: the dose of a removal."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import NonNegativeFloat, model_validator

from fragility.method import JSON
from fragility.procedures._points import OneAtATime
from fragility.procedures._retraining import Retraining
from fragility.procedures.base import Chosen, Comparison
from fragility.selectors import Candidates


class Upweight(Retraining, OneAtATime):
    """Gives one training point at a time another weight, and takes the change of the test loss.

    A removal is weight 0, the data as they are weight 1. A score is the effect of removal to first
    order, so (1 - weight) times the score is predicted for any weight: what is left over shrinks
    with the square of the dose (1 - weight), unless it is noise. `against: opposite` measures from
    weight 2 - w to weight w instead of from the base model: the terms of even order cancel, and so
    does the drift that all retrainings share. The score then predicts 2 (1 - w) times itself.

    Valid when: base model and retraining both reach the optimum of their objectives.
    Cost: one training for every training point and replicate, two with `against: opposite`, and one
    placebo a replicate.
    Reference: Koh and Liang 2017, section 2.1 (upweighting by epsilon).
    """

    elsewhere: ClassVar = Retraining.elsewhere | {"weight", "against"}
    kind: Literal["upweight"] = "upweight"
    weight: NonNegativeFloat
    """Weight of the example in the objective: 0 removes it, 1 would change nothing, 2 counts it
    twice."""
    against: Literal["base", "opposite"] = "base"
    """Measure the change from the base model, or from a retraining with weight 2 - `weight`."""
    removal: Literal["drop", "zero_weight"] = "zero_weight"
    """`drop`: the mean runs over the weight there is; `zero_weight`: it stays over n."""

    @model_validator(mode="after")
    def _is_a_dose(self) -> Upweight:
        if self.weight == 1:
            raise ValueError("a `weight` of 1 changes nothing; give 0, 0.5, 1.5 or 2, say")
        if self.against == "opposite" and self.weight > 2:
            raise ValueError("`against: opposite` needs a `weight` of at most 2")
        return self

    @property
    def truth(self) -> str:
        """Another weight instead of a removal."""
        return self.kind

    @property
    def comparison(self) -> str:
        """What retrainings are compared with."""
        return self.against

    @property
    def _weights(self) -> tuple[float, ...]:
        opposite = (2 - self.weight,) if self.against == "opposite" else ()
        return (self.weight, *opposite)

    def slots(self, n_train: int) -> list[JSON]:
        """Returns the selector's slots with each weight."""
        points = super().slots(n_train)
        return [{"point": point, "weight": weight} for weight in self._weights for point in points]

    def choose(self, candidates: Candidates) -> Chosen:
        """Returns the selector's points, once for each weight."""
        once = super().choose(candidates)
        times = len(self._weights)
        return Chosen(
            once.members * times,
            np.tile(once.values, times),
            None if once.probabilities is None else np.tile(once.probabilities, times),
            None if once.roles is None else once.roles * times,
            np.repeat(self._weights, len(once.members)),
        )

    def compared(
        self, chosen: Chosen, before: NDArray[np.float64], after: NDArray[np.float64]
    ) -> Comparison:
        """Returns the comparison with the base model, or with the opposite weight."""
        whole = super().compared(chosen, before, after)
        if self.against == "base":
            return whole
        n = len(chosen.members) // 2
        first = replace(
            chosen,
            members=chosen.members[:n],
            values=chosen.values[:n],
            probabilities=None if chosen.probabilities is None else chosen.probabilities[:n],
            roles=None if chosen.roles is None else chosen.roles[:n],
            kept=None if chosen.kept is None else chosen.kept[:n],
        )
        return Comparison(first, after[:, n:], after[:, :n], 2 * whole.lost[:n])
