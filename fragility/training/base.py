"""What a training is: a way from initial to final parameters for a stack of models."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal, Protocol, Self

import torch
from pydantic import PositiveFloat
from torch import Tensor

from fragility.method import JSON, Method, Room
from fragility.numerics.stack import StackProblem
from fragility.training.restraints import Restraints

Precision = Literal["float32", "float64"]
Order = Literal["shared", "independent"]
"""Whether retrainings see the batches of their base model, or each has an order of its own."""
Watches = Literal["epoch_mean", "last_batch"]
"""Which loss of an epoch of minibatches a rule goes by; on the full batch both are the same."""


State = dict[str, Tensor]
"""What an optimizer or a schedule remembers, by name; every tensor has a leading model axis."""


@dataclass(frozen=True)
class Start:
    """Where a stack of K models starts: `theta` (K, P), and what optimizer and schedule remember.

    An empty `memory` is a fresh start. `orders`: the seed of each model's example order; trainings
    that draw none do not look at it.
    """

    theta: Tensor
    memory: Mapping[str, Tensor] = field(default_factory=dict)
    orders: Sequence[int] = ()


@dataclass(frozen=True)
class Fit:
    """How a stack of K models ended.

    `theta` (K, P); `steps` (K,) steps taken; `grad_norm` (K,) of the objective; `initial_loss` and
    `final_loss` (K,) weighted mean losses without penalty; `converged` (K,) bool, None where no
    `gradient_norm` was asked for; `diverged` (K,): objective or gradient is not finite.
    `memory`: what a training that goes on may start with; empty where there is nothing to resume.
    `gradients`: how they were computed, `torch.compile` or `eager: ` and why. `iterate` (K, P): the
    last iterates where `theta` may be averages, else None.
    """

    theta: Tensor
    steps: Tensor
    grad_norm: Tensor
    initial_loss: Tensor
    final_loss: Tensor
    converged: tuple[bool | None, ...]
    diverged: Tensor
    memory: Mapping[str, Tensor] = field(default_factory=dict)
    gradients: str = "eager"
    iterate: Tensor | None = None


class Checkpoint(Protocol):
    """Keeps the running state of one stack across interruptions."""

    def due(self) -> bool:
        """Whether it is time to save."""

    def save(self, state: State) -> None:
        """Keeps a state, in place of the one before."""

    def load(self) -> State | None:
        """Returns the state that an interrupted run left, or None."""


class Trajectory(Protocol):
    """Takes notes while a stack trains, at steps 0, `every`, 2 x `every` ..."""

    every: int

    def observe(self, step: int, theta: Tensor, models: Tensor, data_loss: Tensor) -> None:
        """Notes `theta` (k, P) and `data_loss` (k,) of the models still in training.

        `models` (k,) are their positions in the whole stack.
        """

    def state(self) -> State:
        """Returns the notes so far."""

    def load(self, state: State) -> None:
        """Takes up notes that were interrupted."""


@dataclass(frozen=True)
class Recorder:
    """Who watches a training: `progress` is told the share of the work that is done."""

    progress: Callable[[float], None] = field(default=lambda fraction: None)
    trajectory: Trajectory | None = None
    checkpoint: Checkpoint | None = None


class Training(Method):
    """A way from initial to final parameters."""

    counts: ClassVar[Literal["steps", "epochs"]] = "steps"
    """The field that limits a training; one of its units takes a gradient of all examples."""

    gradient_norm: PositiveFloat | None = None
    """Stop when the norm of the objective's gradient is this small; null: take all steps."""
    dtype: Precision = "float32"
    """Precision of parameters and gradients."""

    @abstractmethod
    def fit(
        self,
        stack: Sequence[Self],
        problem: StackProblem,
        start: Start,
        recorder: Recorder,
        restraints: Sequence[Restraints] = (),
    ) -> Fit:
        """Trains a stack whose k-th model follows `stack[k]` under `restraints[k]`; empty: none.

        Raises:
            ValueError: a training has an `objection` to its restraints.
        """

    def objection(self, restraints: Restraints) -> str | None:
        """Returns why a model cannot be trained so under restraints, or None if it can."""
        return None

    @abstractmethod
    def fusion(self) -> JSON:
        """Returns what two trainings must share for their models to stand in one stack."""

    @property
    def resumable(self) -> bool:
        """Whether a retraining can go on with what the optimizer and the schedule remember."""
        return False

    @property
    def budget(self) -> int:
        """The most units, steps or epochs, that a training takes."""
        return int(getattr(self, self.counts))

    @property
    def example_order(self) -> Order | None:
        """Whose example order a retraining follows; None where training draws no order."""
        return None

    @property
    def torch_dtype(self) -> torch.dtype:
        """The precision as torch's dtype."""
        return torch.float64 if self.dtype == "float64" else torch.float32

    def limited(self, budget: int | None, gradient_norm: float | None) -> Self:
        """Returns this training with other stopping rules where they are given."""
        changes: dict[str, float] = {}
        if budget is not None:
            changes[self.counts] = budget
        if gradient_norm is not None:
            changes["gradient_norm"] = gradient_norm
        return self.model_copy(update=changes)

    def at_rate(self, learning_rate: float) -> Self | None:
        """Returns this training begun at another learning rate; None where it has none."""
        return None

    def ordered(self, order: Order) -> Self:
        """Returns this training with another `example_order`, where it has one."""
        return self


TRAINING: Room[Training] = Room("training", Training, "fragility.training")
