"""What a training is: a way from initial to final parameters for a stack of models."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, Self

import torch
from pydantic import NonNegativeInt, PositiveFloat
from torch import Tensor

from fragility.method import JSON, Method, Room
from fragility.numerics.stack import StackProblem

Precision = Literal["float32", "float64"]


@dataclass(frozen=True)
class Fit:
    """How a stack of K models ended.

    `theta` (K, P); `steps` (K,) steps taken; `grad_norm` (K,) of the objective; `initial_loss` and
    `final_loss` (K,) weighted mean losses without penalty; `converged` (K,) bool, None where no
    `gradient_norm` was asked for; `diverged` (K,): objective or gradient is not finite.
    """

    theta: Tensor
    steps: Tensor
    grad_norm: Tensor
    initial_loss: Tensor
    final_loss: Tensor
    converged: tuple[bool | None, ...]
    diverged: Tensor


@dataclass
class Recorder:
    """What is noted while a stack trains: every `every` steps `observe(theta, models)` is called.

    `models` are the positions in the whole stack of the rows of theta; models that are done are
    not observed again. `progress` is told the share of the work that is done.
    """

    every: int = 0
    observe: Callable[[int, Tensor, Tensor, Tensor], None] | None = None
    progress: Callable[[float], None] = field(default=lambda fraction: None)


class Training(Method):
    """A way from initial to final parameters."""

    steps: NonNegativeInt
    """Upper limit of the number of steps."""
    gradient_norm: PositiveFloat | None = None
    """Stop when the norm of the objective's gradient is this small; null: take all steps."""
    dtype: Precision = "float32"
    """Precision of parameters and gradients."""

    @abstractmethod
    def fit(
        self, stack: Sequence[Self], problem: StackProblem, start: Tensor, recorder: Recorder
    ) -> Fit:
        """Trains a stack whose k-th model follows `stack[k]`, from `start` (K, P)."""

    @abstractmethod
    def fusion(self) -> JSON:
        """Returns what two trainings must share for their models to stand in one stack."""

    @property
    def torch_dtype(self) -> torch.dtype:
        """The precision as torch's dtype."""
        return torch.float64 if self.dtype == "float64" else torch.float32

    def limited(self, steps: int | None, gradient_norm: float | None) -> Self:
        """Returns this training with other stopping rules where they are given."""
        changes: dict[str, float] = {}
        if steps is not None:
            changes["steps"] = steps
        if gradient_norm is not None:
            changes["gradient_norm"] = gradient_norm
        return self.model_copy(update=changes)


TRAINING: Room[Training] = Room("training", Training, "fragility.training")
