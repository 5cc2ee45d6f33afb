"""A learning rate that falls along half a cosine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import pi
from typing import Literal, Self

import torch
from pydantic import NonNegativeFloat
from torch import Tensor

from fragility.training.schedules.base import Rates, Schedule


class Cosine(Schedule):
    """Lets the learning rate fall along half a cosine, from its initial value to `floor`.

    After t of T steps it is floor + (initial - floor) (1 + cos(pi t / T)) / 2, where T is the most
    optimizer steps that the training takes: a retraining with fewer steps falls faster.

    Valid when: training takes all its steps; one that stops before ends at a higher rate.
    Cost: none.
    Reference: Loshchilov and Hutter 2017; torch.optim.lr_scheduler.CosineAnnealingLR.
    """

    kind: Literal["cosine"] = "cosine"
    floor: NonNegativeFloat = 0.0
    """Learning rate after the last step."""

    def rates(self, stack: Sequence[Self], initial: Tensor, steps: Tensor) -> Rates:
        """Returns rates that fall over each model's own number of steps."""
        return _Cosine(stack, initial, steps)


class _Cosine(Rates):
    def __init__(self, stack: Sequence[Cosine], initial: Tensor, steps: Tensor) -> None:
        self.current = self.initial = initial
        self.floor = initial.new_tensor([[one.floor] for one in stack])
        self.total = steps.unsqueeze(1).clamp(min=1).double()
        self.count = torch.zeros_like(self.total)

    def update(self, loss: Tensor) -> None:
        self.count = (self.count + 1).minimum(self.total)
        share = (1 + torch.cos(pi * self.count / self.total)) / 2
        self.current = self.floor + (self.initial - self.floor) * share.to(self.initial)

    def state(self) -> dict[str, Tensor]:
        return {"rate": self.current, "count": self.count}

    def load(self, state: Mapping[str, Tensor]) -> None:
        self.current, self.count = state["rate"], state["count"]

    def select(self, index: Tensor) -> None:
        self.current, self.initial = self.current[index], self.initial[index]
        self.floor, self.total = self.floor[index], self.total[index]
        self.count = self.count[index]
