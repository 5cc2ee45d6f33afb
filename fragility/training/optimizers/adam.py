"""Adam."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from typing import Annotated, Literal, Self

import torch
from pydantic import Field, PositiveFloat
from torch import Tensor

from fragility.method import JSON
from fragility.numerics.history import Adjoint
from fragility.training.optimizers.base import FirstOrder, Optimizer

Beta = Annotated[float, Field(ge=0, lt=1)]


class Adam(Optimizer):
    """Adam, step for step as torch's `Adam`; a penalty enters through the gradient (coupled).

    At a constant learning rate Adam ends in a neighbourhood of the optimum whose size is of the
    order of the learning rate: with `schedule: {kind: plateau}` the gradient norm falls further.

    Valid when: always; check the gradient norm before calling the end an optimum.
    Cost: one gradient a step.
    Reference: Kingma and Ba 2015; amsgrad: Reddi et al. 2018.
    """

    kind: Literal["adam"] = "adam"
    betas: tuple[Beta, Beta] = (0.9, 0.999)
    """Decay of the running means of the gradient and of its square."""
    epsilon: PositiveFloat = 1e-8
    """Added to the root of the second moment."""
    amsgrad: bool = False
    """Divide by the largest second moment so far."""

    def fusion(self) -> JSON:
        """Models share the form of the step; betas and epsilon are per model."""
        return [self.kind, self.amsgrad]

    def stepper(self, stack: Sequence[Self], theta: Tensor) -> FirstOrder:
        """Returns a state with zero moments."""
        return _Moments(
            _doubles(theta, [one.betas[0] for one in stack]),
            _doubles(theta, [one.betas[1] for one in stack]),
            theta.new_tensor([[one.epsilon] for one in stack]),
            torch.zeros_like(theta),
            torch.zeros_like(theta),
            torch.zeros_like(theta) if self.amsgrad else None,
        )


def _doubles(theta: Tensor, values: Sequence[float]) -> Tensor:
    # 1 - 0.999 has five right digits in float32, and divides the first steps.
    return torch.tensor(values, dtype=torch.float64, device=theta.device).unsqueeze(1)


class _Moments(FirstOrder):
    def __init__(
        self,
        beta1: Tensor,
        beta2: Tensor,
        epsilon: Tensor,
        first: Tensor,
        second: Tensor,
        largest: Tensor | None,
    ) -> None:
        self.beta1, self.beta2, self.epsilon = beta1, beta2, epsilon
        self.first, self.second, self.largest = first, second, largest
        self.count = torch.zeros_like(beta1)

    def move(self, theta: Tensor, gradient: Tensor, rates: Tensor) -> Tensor:
        self.count = self.count + 1
        self.first = torch.lerp(gradient, self.first, self.beta1.to(gradient))
        self.second = torch.lerp(gradient.square(), self.second, self.beta2.to(gradient))
        if self.largest is not None:
            self.largest = torch.maximum(self.largest, self.second)
        correction1, correction2 = self._corrections(theta)
        denominator = self._divisor().sqrt() / correction2 + self.epsilon
        return theta - rates / correction1 * self.first / denominator

    def pull(
        self, theta: Tensor, gradient: Tensor, rates: Tensor, after: Adjoint
    ) -> tuple[Adjoint, Tensor]:
        moved = copy(self)
        moved.move(theta, gradient, rates)
        correction1, correction2 = moved._corrections(theta)
        root = moved._divisor().sqrt()
        denominator = root / correction2 + self.epsilon
        along = -rates / correction1 / denominator * after.theta
        # Where no gradient ever was, the root has no derivative, and the step does not need one.
        bend = torch.where(root > 0, -moved.first / (2 * root * correction2 * denominator), 0)
        divisor, largest = bend * along, {}
        if self.largest is not None:
            divisor = divisor + after.of("largest")
            stays = self.largest >= moved.second
            largest = {"largest": torch.where(stays, divisor, 0)}
            divisor = torch.where(stays, 0, divisor)
        first, second = after.of("first") + along, after.of("second") + divisor
        beta1, beta2 = self.beta1.to(theta), self.beta2.to(theta)
        slope = (1 - beta1) * first + 2 * (1 - beta2) * gradient * second
        memory = {"first": beta1 * first, "second": beta2 * second, **largest}
        return Adjoint(after.theta, memory), slope

    def _divisor(self) -> Tensor:
        """Returns the second moment that the step is divided by the root of."""
        return self.second if self.largest is None else self.largest

    def _corrections(self, theta: Tensor) -> tuple[Tensor, Tensor]:
        """Returns what undoes the moments' start at 0: of the first, and of the second's root."""
        correction1 = (1 - self.beta1**self.count).to(theta)
        return correction1, (1 - self.beta2**self.count).sqrt().to(theta)

    def state(self) -> dict[str, Tensor]:
        state = {"first": self.first, "second": self.second, "count": self.count}
        return state if self.largest is None else {**state, "largest": self.largest}

    def load(self, state: Mapping[str, Tensor]) -> None:
        self.first, self.second, self.count = state["first"], state["second"], state["count"]
        self.largest = state.get("largest")

    def select(self, index: Tensor) -> None:
        self.beta1, self.beta2 = self.beta1[index], self.beta2[index]
        self.epsilon, self.count = self.epsilon[index], self.count[index]
        self.first, self.second = self.first[index], self.second[index]
        self.largest = None if self.largest is None else self.largest[index]
