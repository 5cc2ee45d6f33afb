"""Weight decay: an L2 penalty that is part of the objective, or a shrinking beside it."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar, Literal

from pydantic import NonNegativeFloat, model_validator

from fragility.numerics.network import Layout
from fragility.regularizers.base import Regularizer, first_order_only
from fragility.training import Training
from fragility.training.restraints import Restraints


class WeightDecay(Regularizer):
    """Adds (strength/2) ||theta||^2 to the mean loss, the convention of torch's optimizers.

    The gradient gains strength x theta and the Hessian strength x I, the same as `weight_decay` of
    torch's Adam or SGD (coupled, not AdamW's). Estimators count it in the curvature unless told
    `curvature_includes_regularization: false`.

    With `coupled: false` parameters shrink by the learning rate times strength before every step,
    as with torch's AdamW, and the objective stays the mean loss. Under Adam what training then
    approaches is a stationary point of neither; under SGD it is that of the coupled objective.
    Influence is taken for the mean loss alone, and the run says so.

    Valid when: always.
    Cost: none.
    Reference: Loshchilov and Hutter 2019 (decoupled).
    """

    of_objective: ClassVar[bool] = True
    per_model: ClassVar[bool] = True

    kind: Literal["weight_decay"] = "weight_decay"
    strength: NonNegativeFloat
    """Strength s of (s/2) ||theta||^2."""
    parameters: Literal["all", "weights"] = "all"
    """`all` parameters with their biases, or `weights` alone (parameters of two or more axes)."""
    coupled: bool = True
    """Whether the penalty is part of the objective, or parameters shrink beside its gradient."""

    @model_validator(mode="after")
    def _decouples_all(self) -> WeightDecay:
        if not self.coupled and self.parameters != "all":
            raise ValueError("`coupled: false` shrinks all `parameters`")
        return self

    def decay(self, layout: Layout) -> dict[str, float]:
        """Returns the strength of every penalized parameter, zero for the others."""
        if not self.coupled:
            return {}
        return {
            name: self.strength if self.parameters == "all" or len(shape) > 1 else 0.0
            for name, shape in zip(layout.names, layout.shapes, strict=True)
        }

    def restrained(self, restraints: Restraints) -> Restraints:
        """Returns the restraints with a decoupled decay."""
        return restraints if self.coupled else replace(restraints, decoupled=self.strength)

    @property
    def departs(self) -> str | None:
        """What decoupled decay does beside the objective."""
        if self.coupled:
            return None
        return (
            "decoupled weight decay shrinks the parameters beside the gradient, so that they end "
            "at no stationary point of the mean loss, for which influence is taken"
        )

    def objection(self, training: Training) -> str | None:
        """Returns why a training cannot shrink parameters."""
        return None if self.coupled else first_order_only("`coupled: false`", training)
