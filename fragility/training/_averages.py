"""The mean of each model's late iterates, and the learning rate while it is taken."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf, pi

import torch
from torch import Tensor

from fragility.training.restraints import Averaging


class Averages:
    """The means (K, P) of the iterates of a stack whose k-th model is averaged by `stack[k]`.

    `units` (K,) are the most that each model takes; a model without averaging has no mean.
    """

    def __init__(self, stack: Sequence[Averaging | None], units: Tensor, theta: Tensor) -> None:
        given = [(one, int(most)) for one, most in zip(stack, units.tolist(), strict=True)]
        column = theta.new_zeros(len(theta), 1, dtype=torch.float64)
        self.last = torch.tensor(
            [inf if one is None else round(one.start * most) for one, most in given],
            dtype=torch.float64,
            device=theta.device,
        )
        self.anneal = column.new_tensor(
            [[1 if one is None else max(1, round(one.anneal * most))] for one, most in given]
        )
        rates = [None if one is None else one.learning_rate for one in stack]
        self.rate = theta.new_tensor([[rate or 0.0] for rate in rates])
        self.leads = torch.tensor([rate is not None for rate in rates], device=theta.device)
        self.mean, self.count = theta.clone(), column
        self.begun = False
        self.earliest = float(self.last.min())

    def holds(self, unit: int) -> Tensor | None:
        """Returns whose (K,) schedules stand still in a unit, or None if nobody's does."""
        return self.leads & (self.last < unit) if unit > self.earliest else None

    def awaits(self, unit: int) -> Tensor:
        """Returns whose (K,) rates averaging will lead, and does not lead yet in a unit."""
        return self.leads & (self.last >= unit)

    def take(self, unit: int, theta: Tensor) -> None:
        """Takes the iterates (K, P) after a unit into the means of those that average it."""
        if unit <= self.earliest:
            return
        self.begun = True
        now = (self.last < unit).unsqueeze(1)
        self.count = self.count + now
        share = (1 / self.count.clamp(min=1)).to(theta)
        self.mean = torch.where(now, self.mean + (theta - self.mean) * share, self.mean)
        # The first iterate replaces the start, also where that is not finite.
        self.mean = torch.where(now & (self.count == 1), theta, self.mean)

    def rates(self, scheduled: Tensor) -> Tensor:
        """Returns the learning rates (K, 1), given those of the schedules."""
        if not self.begun:
            return scheduled
        way = (1 - torch.cos(pi * (self.count / self.anneal).clamp(max=1))) / 2
        way = torch.where(self.leads.unsqueeze(1), way, 0).to(scheduled)
        return self.rate * way + scheduled * (1 - way)

    def of(self, rows: Tensor, theta: Tensor) -> Tensor:
        """Returns what some of the models are: means, or the iterates where there are none."""
        return torch.where(self.count[rows] > 0, self.mean[rows], theta)

    def state(self) -> dict[str, Tensor]:
        """Returns the means so far."""
        return {"mean": self.mean, "count": self.count}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Takes over means."""
        self.mean, self.count = state["mean"], state["count"]
        self.begun = bool((self.count > 0).any())

    def select(self, index: Tensor) -> None:
        """Keeps some of the models."""
        self.last, self.anneal, self.rate = self.last[index], self.anneal[index], self.rate[index]
        self.leads, self.mean = self.leads[index], self.mean[index]
        self.count = self.count[index]
        self.earliest = float(self.last.min()) if len(index) else inf
