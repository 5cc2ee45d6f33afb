"""Batch normalization whose statistics are taken once: a scale and a shift of each channel."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from fragility.numerics.network import Network

EXAMPLES = 1024
"""Most training examples, evenly spaced, whose mean and variance a network begins with."""

_EPSILON = 1e-5
"""Added to variances, as torch's batch normalization does."""


class ChannelScale(nn.Module):
    """A scale and a shift of each channel, which are parameters.

    Batch normalization in evaluation mode is this map, with its statistics folded in: x becomes
    (x - mean) / std, then scaled and shifted. Here the statistics decide the initial values, and
    from then on there are none: an example's outputs depend on it and the parameters alone.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, inputs: Tensor) -> Tensor:
        """Returns (n, channels, ...) scaled and shifted."""
        shape = (1, -1, *(1 for _ in inputs.shape[2:]))
        return inputs * self.weight.view(shape) + self.bias.view(shape)


def takes_statistics(network: Network) -> bool:
    """Whether a network has initial values that follow from its training examples."""
    return any(isinstance(layer, ChannelScale) for layer in network.module.modules())


def standardized(
    network: Network, parameters: Mapping[str, Tensor], inputs: Tensor
) -> dict[str, Tensor]:
    """Returns the parameters with every scale and shift set to standardize what it is given.

    Each channel then has mean 0 and variance 1 over these examples, and their pixels, at these
    parameters; layers are taken in the order of the forward pass. Statistics are in float64.

    Args:
        network: the architecture.
        parameters: initial values, left as they are.
        inputs: training examples, shape (n, ...); of more than `EXAMPLES` every k-th counts.
    """
    found = dict(parameters)
    names = {id(layer): name for name, layer in network.module.named_modules()}

    def scale(layer: nn.Module, given: tuple[Tensor, ...], _: Tensor) -> Tensor:
        over = [d for d in range(given[0].dim()) if d != 1]
        mean = given[0].mean(dim=over, dtype=torch.float64, keepdim=True)
        variance = (given[0] - mean).square().mean(dim=over, keepdim=True)
        weight = (variance + _EPSILON).rsqrt()
        name = names[id(layer)]
        for which, value in (("weight", weight), ("bias", -mean * weight)):
            own = f"{name}.{which}" if name else which
            found[own] = value.flatten().to(parameters[own])
        return (given[0] * weight - mean * weight).to(given[0])

    layers = [m for m in network.module.modules() if isinstance(m, ChannelScale)]
    handles = [layer.register_forward_hook(scale) for layer in layers]
    try:
        with torch.no_grad():
            network(parameters, inputs[:: -(-len(inputs) // EXAMPLES)])
    finally:
        for handle in handles:
            handle.remove()
    return found
