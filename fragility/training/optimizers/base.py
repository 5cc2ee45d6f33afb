"""What an optimizer is: a rule that moves every model of a stack one step."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Self

from pydantic import PositiveFloat
from torch import Tensor

from fragility.method import JSON, Method, Room
from fragility.numerics.stack import Evaluation, StackProblem


class Stepper(ABC):
    """The state of one optimizer for every model of a stack."""

    @abstractmethod
    def step(
        self, problem: StackProblem, theta: Tensor, here: Evaluation, rates: Tensor
    ) -> tuple[Tensor, Evaluation]:
        """Returns the next parameters (K, P) and the evaluation there.

        Args:
            problem: the stack's objectives.
            theta: parameters, shape (K, P).
            here: the evaluation at `theta`.
            rates: learning rates, shape (K, 1).
        """

    @abstractmethod
    def select(self, index: Tensor) -> None:
        """Keeps the state of some of the models."""

    def stalled(self) -> Tensor | None:
        """Returns which models (K,) can move no further, or None for a rule that always moves."""
        return None


class Optimizer(Method):
    """A rule that moves parameters against the gradient of the objective."""

    learning_rate: PositiveFloat = 1e-3
    """Learning rate at the first step."""

    @abstractmethod
    def stepper(self, stack: Sequence[Self], theta: Tensor) -> Stepper:
        """Returns the fresh state for a stack whose k-th model is trained by `stack[k]`."""

    def fusion(self) -> JSON:
        """Returns what two optimizers must share for their models to stand in one stack."""
        return self.kind


OPTIMIZERS: Room[Optimizer] = Room("optimizers", Optimizer, "fragility.training.optimizers")
