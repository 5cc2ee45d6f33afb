"""Batch normalization whose statistics are taken once: a scale and a shift of each channel."""

from __future__ import annotations

import torch
from torch import Tensor, nn

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

    def from_data(self, inputs: Tensor) -> dict[str, Tensor]:
        """Returns values that give each channel mean 0 and variance 1 over examples and pixels."""
        over = [d for d in range(inputs.dim()) if d != 1]
        mean = inputs.mean(dim=over, keepdim=True)
        variance = (inputs - mean).square().mean(dim=over, keepdim=True)
        weight = (variance + _EPSILON).rsqrt()
        return {"weight": weight.flatten(), "bias": (-mean * weight).flatten()}
