"""Adam with decoupled weight decay."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal, Self

from pydantic import NonNegativeFloat
from torch import Tensor

from fragility.numerics.history import Adjoint
from fragility.training.optimizers.adam import Adam
from fragility.training.optimizers.base import FirstOrder


class AdamW(Adam):
    """Adam that also shrinks parameters by learning rate x `weight_decay`, as torch's `AdamW`.

    This shrinkage is not part of the objective: it is not scaled by the second moments, so what
    training approaches is no stationary point of the mean loss plus the regularization's penalty.
    Scores, gradient norms and Newton steps are all taken of that objective, and influence is then
    not of the objective trained. For a penalty that training and influence share, use
    `regularization: {kind: weight_decay}` with `adam`.

    Valid when: retraining as practised is the ground truth, and the mismatch is part of the study.
    Cost: one gradient a step.
    Reference: Loshchilov and Hutter 2019.
    """

    kind: Literal["adamw"] = "adamw"  # type: ignore[assignment]
    weight_decay: NonNegativeFloat = 0.01
    """Share of the parameters, times the learning rate, that a step takes away."""

    def stepper(self, stack: Sequence[Self], theta: Tensor) -> FirstOrder:
        """Returns a state with zero moments."""
        decay = theta.new_tensor([[one.weight_decay] for one in stack])
        return _Decoupled(super().stepper(stack, theta), decay)


class _Decoupled(FirstOrder):
    def __init__(self, moments: FirstOrder, decay: Tensor) -> None:
        self.moments, self.decay = moments, decay

    def move(self, theta: Tensor, gradient: Tensor, rates: Tensor) -> Tensor:
        return self.moments.move(theta * (1 - rates * self.decay), gradient, rates)

    def pull(
        self, theta: Tensor, gradient: Tensor, rates: Tensor, after: Adjoint
    ) -> tuple[Adjoint, Tensor]:
        before, slope = self.moments.pull(theta, gradient, rates, after)
        return replace(before, theta=before.theta * (1 - rates * self.decay)), slope

    def state(self) -> dict[str, Tensor]:
        return self.moments.state()

    def load(self, state: Mapping[str, Tensor]) -> None:
        self.moments.load(state)

    def select(self, index: Tensor) -> None:
        self.moments.select(index)
        self.decay = self.decay[index]
