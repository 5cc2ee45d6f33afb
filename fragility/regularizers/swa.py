"""Stochastic weight averaging."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, ClassVar, Literal

from pydantic import Field, PositiveFloat

from fragility.regularizers.base import Regularizer, first_order_only
from fragility.training import Training
from fragility.training.restraints import Averaging, Restraints


class SWA(Regularizer):
    """Averages the iterates of the last part of training; the average is the model.

    After a share `start` of the steps (epochs of minibatches) the learning rate goes to
    `learning_rate` along a cosine, whatever the schedule had made of it, and every iterate from
    there on counts the same in the average. The average is what is evaluated, scored and removed
    from, on both sides of an effect. A retraining averages too, over its own steps; `from_iterate`
    of the procedure says where a warm start begins.

    The average is no stationary point of the objective, whose gradient there diagnostics tell;
    influence is taken at the average, and the run says so.

    Valid when: the iterates it averages lie about one minimum.
    Cost: a second copy of the parameters.
    Reference: Izmailov et al. 2018; torch.optim.swa_utils.
    """

    departure: ClassVar[str | None] = (
        "the model is an average of iterates, and influence is taken as if it were a minimum"
    )
    per_model: ClassVar[bool] = True

    kind: Literal["swa"] = "swa"
    start: Annotated[float, Field(ge=0, lt=1)] = 0.75
    """Share of the steps or epochs after which iterates are averaged."""
    learning_rate: PositiveFloat | None = None
    """What the rate goes to; null: it stays with the schedule."""
    anneal: Annotated[float, Field(gt=0, le=1)] = 0.1
    """Share of the steps or epochs in which the rate gets there."""

    def restrained(self, restraints: Restraints) -> Restraints:
        """Returns the restraints with averaging."""
        return replace(restraints, averaging=Averaging(self.start, self.learning_rate, self.anneal))

    def objection(self, training: Training) -> str | None:
        """Returns why a training has no iterates to average."""
        return first_order_only("`swa`", training)
