"""Adam."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal, Self

import torch
from pydantic import Field, PositiveFloat
from torch import Tensor

from fragility.method import JSON
from fragility.numerics.stack import Evaluation, StackProblem
from fragility.training.optimizers.base import Optimizer, Stepper

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

    def stepper(self, stack: Sequence[Self], theta: Tensor) -> Stepper:
        """Returns a state with zero moments."""
        return _Moments(
            theta.new_tensor([[one.betas[0]] for one in stack]),
            theta.new_tensor([[one.betas[1]] for one in stack]),
            theta.new_tensor([[one.epsilon] for one in stack]),
            torch.zeros_like(theta),
            torch.zeros_like(theta),
            torch.zeros_like(theta) if self.amsgrad else None,
        )


class _Moments(Stepper):
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
        self.count = 0

    def step(
        self, problem: StackProblem, theta: Tensor, here: Evaluation, rates: Tensor
    ) -> tuple[Tensor, Evaluation]:
        self.count += 1
        gradient = here.gradient
        self.first = torch.lerp(gradient, self.first, self.beta1)
        self.second = torch.lerp(gradient.square(), self.second, self.beta2)
        second = self.second
        if self.largest is not None:
            second = self.largest = torch.maximum(self.largest, second)
        correction1 = 1 - self.beta1**self.count
        correction2 = 1 - self.beta2**self.count
        denominator = second.sqrt() / correction2.sqrt() + self.epsilon
        theta = theta - rates / correction1 * self.first / denominator
        return theta, problem.evaluate(theta)

    def select(self, index: Tensor) -> None:
        self.beta1, self.beta2 = self.beta1[index], self.beta2[index]
        self.epsilon = self.epsilon[index]
        self.first, self.second = self.first[index], self.second[index]
        self.largest = None if self.largest is None else self.largest[index]
