"""Example orders: a permutation an epoch, which follows from a seed and the epoch alone."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from fragility.identity import derive_seed


def permutation(seed: int, epoch: int, n: int) -> Tensor:
    """Returns the order (n,) in which an epoch goes through n examples."""
    generator = torch.Generator().manual_seed(derive_seed(seed, "epoch", epoch))
    return torch.randperm(n, generator=generator)


class Orders:
    """The example orders of a stack; models with one seed have one order."""

    def __init__(self, seeds: Sequence[int], n: int, device: torch.device) -> None:
        self.seeds, self.n, self.device = list(seeds), n, device

    @property
    def shared(self) -> bool:
        """Whether all models share an order."""
        return len(set(self.seeds)) == 1

    def epoch(self, epoch: int) -> Tensor:
        """Returns the order of an epoch: (n,) where all models share it, else (K, n)."""
        drawn = {seed: permutation(seed, epoch, self.n) for seed in dict.fromkeys(self.seeds)}
        if len(drawn) == 1:
            return drawn[self.seeds[0]].to(self.device)
        return torch.stack([drawn[seed] for seed in self.seeds]).to(self.device)

    def select(self, index: Tensor) -> None:
        """Keeps the orders of some of the models."""
        self.seeds = [self.seeds[k] for k in index.tolist()]
