"""What an optimizer is: a rule that moves every model of a stack one step."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Self

from pydantic import PositiveFloat
from torch import Tensor

from fragility.method import JSON, Method, Room
from fragility.numerics.history import Adjoint
from fragility.numerics.stack import Evaluation, StackProblem
from fragility.training.restraints import Restraints


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

    @abstractmethod
    def state(self) -> dict[str, Tensor]:
        """Returns all that the next steps depend on, each tensor with a leading model axis."""

    @abstractmethod
    def load(self, state: Mapping[str, Tensor]) -> None:
        """Takes over a state."""

    def stalled(self) -> Tensor | None:
        """Returns which models (K,) can move no further, or None for a rule that always moves."""
        return None


class FirstOrder(Stepper):
    """A rule whose step follows from one gradient, so that a minibatch's gradient will do."""

    @abstractmethod
    def move(self, theta: Tensor, gradient: Tensor, rates: Tensor) -> Tensor:
        """Returns the next parameters (K, P), given the gradient (K, P) at `theta`."""

    @abstractmethod
    def pull(
        self, theta: Tensor, gradient: Tensor, rates: Tensor, after: Adjoint
    ) -> tuple[Adjoint, Tensor]:
        """Returns the transposed derivative of `move`, for one model; moves nothing.

        Args:
            theta: parameters before the step, shape (1, P).
            gradient: the gradient there, shape (1, P).
            rates: learning rate, shape (1, 1), a constant.
            after: derivatives of T scalars in the parameters and the state after the step.

        Returns:
            Their derivatives in the parameters and the state before the step, the gradient held
            fixed, and in the gradient, shape (T, P).
        """

    def step(
        self, problem: StackProblem, theta: Tensor, here: Evaluation, rates: Tensor
    ) -> tuple[Tensor, Evaluation]:
        """Moves, and evaluates there."""
        theta = self.move(theta, here.gradient, rates)
        return theta, problem.evaluate(theta)


class Optimizer(Method):
    """A rule that moves parameters against the gradient of the objective."""

    learning_rate: PositiveFloat = 1e-3
    """Learning rate at the first step."""

    @abstractmethod
    def stepper(self, stack: Sequence[Self], theta: Tensor) -> Stepper:
        """Returns the fresh state for a stack whose k-th model is trained by `stack[k]`."""

    @property
    def resumable(self) -> bool:
        """Whether a later training can go on with this one's memory."""
        return True

    @property
    def full_batch_only(self) -> bool:
        """Whether a step compares evaluations of the same examples, so that minibatches mislead."""
        return False

    def objection(self, restraints: Restraints) -> str | None:
        """Returns which restraint these steps cannot follow, or None if there is none."""
        if not self.full_batch_only or not (restraints.steer or restraints.averaging):
            return None
        return (
            f"`{self.kind}` searches along a line for a lower objective; its steps cannot be "
            "clipped, averaged or preceded by decoupled decay. Use `adam` or `sgd`."
        )

    def fusion(self) -> JSON:
        """Returns what two optimizers must share for their models to stand in one stack."""
        return self.kind


OPTIMIZERS: Room[Optimizer] = Room("optimizers", Optimizer, "fragility.training.optimizers")
