"""The losses of a model's examples: the one code path on both sides of every effect."""

from __future__ import annotations

import torch
from torch import Tensor

from fragility.numerics.fused_forward import is_chain
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
    outputs = features_of(network, parameters, inputs)
    # Outputs in float32 hold more of a small loss than a loss in float32 does.
    exact = targets.double() if targets.is_floating_point() else targets
    return loss.per_example(outputs.double(), exact), loss.predicted(outputs)


@torch.no_grad()
def features_of(network: Network, parameters: Parameters, inputs: Tensor) -> Tensor:
    """Returns what a network makes of examples (n, ...), taken in blocks."""
    # A view into a stack starts at another address for each model, and matrix products round
    # differently by address: a copy starts where every tensor of torch's own does.
    own = {name: parameters[name].clone() for name in network.layout.names}
    size = inputs.element_size() * activations(network, tuple(inputs.shape[1:]))
    chained = is_chain(network.module, inputs.dim())
    rows = BLOCK_BYTES // size if chained else max(_FEWEST_IMAGES, IMAGE_BLOCK_BYTES // size)
    blocks = torch.split(inputs, max(1, rows))
    return torch.cat([network(own, block) for block in blocks])
