"""Gradient descent with momentum."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal, Self

import torch
from pydantic import Field
from torch import Tensor

from fragility.method import JSON
from fragility.numerics.history import Adjoint
from fragility.training.optimizers.base import FirstOrder, Optimizer, Stepper


class SGD(Optimizer):
    """Gradient descent, with momentum as torch's `SGD` has it.

    Valid when: the learning rate is below 2 over the largest curvature.
    Cost: one gradient a step.
    Reference: torch.optim.SGD.
    """

    kind: Literal["sgd"] = "sgd"
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of the last step that is kept."""
    nesterov: bool = False
    """Look ahead along the momentum."""

    def fusion(self) -> JSON:
        """Plain and Nesterov steps differ in form."""
        return [self.kind, self.nesterov]

    def stepper(self, stack: Sequence[Self], theta: Tensor) -> Stepper:
        """Returns a state with an empty momentum."""
        momentum = theta.new_tensor([[one.momentum] for one in stack])
        return _Descent(momentum, torch.zeros_like(theta), self.nesterov)


class _Descent(FirstOrder):
    def __init__(self, momentum: Tensor, velocity: Tensor, nesterov: bool) -> None:
        self.momentum, self.velocity, self.nesterov = momentum, velocity, nesterov

    def move(self, theta: Tensor, gradient: Tensor, rates: Tensor) -> Tensor:
        self.velocity = self.momentum * self.velocity + gradient
        ahead = gradient + self.momentum * self.velocity if self.nesterov else self.velocity
        return theta - rates * ahead

    def pull(
        self, theta: Tensor, gradient: Tensor, rates: Tensor, after: Adjoint
    ) -> tuple[Adjoint, Tensor]:
        ahead = -rates * after.theta
        velocity = after.of("velocity") + (self.momentum * ahead if self.nesterov else ahead)
        slope = velocity + ahead if self.nesterov else velocity
        return Adjoint(after.theta, {"velocity": self.momentum * velocity}), slope

    def state(self) -> dict[str, Tensor]:
        return {"velocity": self.velocity}

    def load(self, state: Mapping[str, Tensor]) -> None:
        self.velocity = state["velocity"]

    def select(self, index: Tensor) -> None:
        self.momentum, self.velocity = self.momentum[index], self.velocity[index]
