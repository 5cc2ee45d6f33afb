"""How long each model of a stack has gone without improvement of its training loss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from fragility.training.restraints import EarlyStopping


class Waiting:
    """How many units, steps or epochs, each model of a stack has gone without improvement."""

    def __init__(self, stack: Sequence[EarlyStopping | None], like: Tensor) -> None:
        self.patience = like.new_tensor([one.patience if one else torch.inf for one in stack])
        self.threshold = like.new_tensor([one.threshold if one else 0.0 for one in stack])
        self.last_batch = torch.tensor(
            [one is not None and one.last_batch for one in stack], device=like.device
        )
        self.best = torch.full_like(self.patience, torch.inf)
        self.waited = torch.zeros_like(self.patience)

    def update(self, loss: Tensor) -> None:
        """Takes note of a unit's loss (K,)."""
        better = loss < self.best * (1 - self.threshold)
        self.best = torch.where(better, loss, self.best)
        self.waited = torch.where(better, 0, self.waited + 1)

    def over(self) -> Tensor:
        """Returns which models (K,) stop."""
        return self.waited >= self.patience

    def state(self) -> dict[str, Tensor]:
        """Returns all that later stops depend on."""
        return {"best": self.best, "waited": self.waited}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Takes over a state."""
        self.best, self.waited = state["best"], state["waited"]

    def select(self, index: Tensor) -> None:
        """Keeps some of the models."""
        self.patience, self.threshold = self.patience[index], self.threshold[index]
        self.last_batch = self.last_batch[index]
        self.best, self.waited = self.best[index], self.waited[index]
