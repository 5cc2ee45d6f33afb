"""A learning rate that falls at regular intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal, Self

import torch
from pydantic import Field, PositiveInt
from torch import Tensor

from fragility.training.schedules.base import Rates, Schedule


class Step(Schedule):
    """Multiplies the learning rate by `factor` after every `every` steps.

    Steps are those of the optimizer: an epoch of minibatches is as many steps as it has batches.

    Valid when: always.
    Cost: none.
    Reference: torch.optim.lr_scheduler.StepLR.
    """

    kind: Literal["step"] = "step"
    every: PositiveInt
    """Optimizer steps between cuts."""
    factor: Annotated[float, Field(gt=0, lt=1)] = 0.1
    """What the rate is multiplied by."""

    def rates(self, stack: Sequence[Self], initial: Tensor, steps: Tensor) -> Rates:
        """Returns rates that fall at each model's own interval."""
        return _Step(stack, initial)


class _Step(Rates):
    def __init__(self, stack: Sequence[Step], initial: Tensor) -> None:
        self.current = initial
        self.every = torch.tensor([[one.every] for one in stack], device=initial.device)
        self.factor = initial.new_tensor([[one.factor] for one in stack])
        self.count = torch.zeros_like(self.every)

    def update(self, loss: Tensor) -> None:
        self.count = self.count + 1
        due = self.count % self.every == 0
        self.current = torch.where(due, self.current * self.factor, self.current)

    def state(self) -> dict[str, Tensor]:
        return {"rate": self.current, "count": self.count}

    def load(self, state: Mapping[str, Tensor]) -> None:
        self.current, self.count = state["rate"], state["count"]

    def select(self, index: Tensor) -> None:
        self.current, self.count = self.current[index], self.count[index]
        self.every, self.factor = self.every[index], self.factor[index]
