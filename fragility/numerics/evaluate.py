"""The losses of a model's examples: the one code path on both sides of every effect."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from fragility.numerics.fused_forward import is_fused
from fragility.numerics.losses import Loss
from fragility.numerics.network import Network, activations
from fragility.numerics.trained import Parameters

BLOCK_BYTES = 64 * 2**20
"""Largest intermediate of one pass over examples."""

IMAGE_BLOCK_BYTES = 8 * 2**20
"""The same of convolutions, which are over twice as fast where their outputs stay in the caches."""

_FEWEST_IMAGES = 32


@torch.no_grad()
def evaluate(
    network: Network, loss: Loss, parameters: Parameters, inputs: Tensor, targets: Tensor
) -> tuple[Tensor, Tensor]:
    """Returns the loss of each example (n,) and what one model predicts for it (n, k).

    One model at a time, whatever stack it was trained in: the numbers depend on the parameters
    alone, so that a retraining of zero steps has an effect of exactly zero.
    """
    return _judged(loss, features_of(network, parameters, inputs), targets)


@dataclass(frozen=True)
class Halfway:
    """What a network's first part makes of examples, for models that share it.

    Examples stand in the blocks in which the whole network takes them, so that what the rest makes
    of them has the very bits of `evaluate`.
    """

    rest: Network
    blocks: tuple[Tensor, ...]

    @classmethod
    @torch.no_grad()
    def of(
        cls, whole: Network, parts: tuple[Network, Network], parameters: Parameters, inputs: Tensor
    ) -> Halfway:
        """Takes examples (n, ...) through the first of a network's two parts."""
        first, rest = parts
        own = _own(first, parameters)
        return cls(rest, tuple(first(own, block) for block in _blocks(whole, inputs)))

    @torch.no_grad()
    def evaluate(
        self, loss: Loss, parameters: Parameters, targets: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Returns what `evaluate` does of the whole network."""
        own = _own(self.rest, parameters)
        outputs = torch.cat([self.rest(own, block) for block in self.blocks])
        return _judged(loss, outputs, targets)


@torch.no_grad()
def features_of(network: Network, parameters: Parameters, inputs: Tensor) -> Tensor:
    """Returns what a network makes of examples (n, ...), taken in blocks."""
    own = _own(network, parameters)
    return torch.cat([network(own, block) for block in _blocks(network, inputs)])


def _judged(loss: Loss, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    # Outputs in float32 hold more of a small loss than a loss in float32 does.
    exact = targets.double() if targets.is_floating_point() else targets
    return loss.per_example(outputs.double(), exact), loss.predicted(outputs)


def _own(network: Network, parameters: Parameters) -> dict[str, Tensor]:
    # A view into a stack starts at another address for each model, and matrix products round
    # differently by address: a copy starts where every tensor of torch's own does.
    return {name: parameters[name].clone() for name in network.layout.names}


def _blocks(network: Network, inputs: Tensor) -> tuple[Tensor, ...]:
    size = inputs.element_size() * activations(network, tuple(inputs.shape[1:]))
    chained = is_fused(network.module, inputs.dim())
    rows = BLOCK_BYTES // size if chained else max(_FEWEST_IMAGES, IMAGE_BLOCK_BYTES // size)
    return torch.split(inputs, max(1, rows))
