"""Layers of Bayesian networks: they hand on means and variances, as one tensor (n, 2, ...).

Weights are independent and Gaussian, of mean `weight` and variance softplus(`weight_rho`). The
first layer reads examples (n, ...), which are certain; all others what the one before hands on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from fragility.numerics.fused_forward import Hidden, StackLayer
from fragility.numerics.moments import SLOPES, affine_variance

Bias = Literal["gaussian", "deterministic", "additive"]


class GaussianAffine(StackLayer):
    """An affine layer with Gaussian weights: of moments (n, 2, ...), or of certain inputs (n, ...).

    `bias` is `gaussian` as the weights are (`bias`, `bias_rho`), `deterministic` (`bias` alone), or
    `additive`: `bias_variance` is then added to the variance as it is, whatever its sign.
    """

    def __init__(
        self, layer: nn.Linear | nn.Conv2d, *, certain: bool, bias: Bias, shared: bool = False
    ) -> None:
        super().__init__()
        self.certain = certain
        self.weight = layer.weight
        rho = layer.weight.new_empty(len(layer.weight), *[1] * (layer.weight.dim() - 1))
        self.weight_rho = nn.Parameter(rho if shared else torch.empty_like(layer.weight))
        assert layer.bias is not None
        self.bias = layer.bias
        if bias == "gaussian":
            self.bias_rho = nn.Parameter(torch.empty_like(layer.bias))
        elif bias == "additive":
            # Drawn as torch draws the bias of an affine layer.
            fan_in = layer.weight[0].numel()
            drawn = torch.empty_like(layer.bias).uniform_(-(fan_in**-0.5), fan_in**-0.5)
            self.bias_variance = nn.Parameter(drawn)
        self._product: Callable[[Tensor, Tensor], Tensor] = functional.linear
        if isinstance(layer, nn.Conv2d):
            self._product = partial(functional.conv2d, stride=layer.stride, padding=layer.padding)

    def forward(self, inputs: Tensor) -> Tensor:
        """Returns the moments (n, 2, ...) of the outputs."""
        mean, variance = (inputs, None) if self.certain else inputs.unbind(dim=1)
        weight_variance = functional.softplus(self.weight_rho).expand_as(self.weight)
        out_mean = self._product(mean, self.weight) + self._along(self.bias)
        out_variance = affine_variance(self._product, mean, variance, self.weight, weight_variance)
        if hasattr(self, "bias_rho"):
            out_variance = out_variance + self._along(functional.softplus(self.bias_rho))
        elif hasattr(self, "bias_variance"):
            out_variance = out_variance + self._along(self.bias_variance)
        return torch.stack([out_mean, out_variance], dim=1)

    @property
    def reads(self) -> int | None:
        """One number of each unit or two; None for a convolution."""
        if self.weight.dim() != 2:
            return None
        return 1 if self.certain else 2

    def on_stack(self, own: Mapping[str, Tensor], hidden: Hidden) -> Hidden:
        """Returns the means and variances (K, units, n) of a stack; see `StackLayer`."""
        mean, variance = (hidden[0], None) if self.certain else hidden
        weight = own["weight"]
        weight_variance = functional.softplus(own["weight_rho"]).expand_as(weight)
        out_mean = torch.baddbmm(own["bias"].unsqueeze(-1), weight, mean)
        out_variance = affine_variance(_stacked, mean, variance, weight, weight_variance)
        if "bias_rho" in own:
            out_variance = out_variance + functional.softplus(own["bias_rho"]).unsqueeze(-1)
        elif "bias_variance" in own:
            out_variance = out_variance + own["bias_variance"].unsqueeze(-1)
        return out_mean, out_variance

    def _along(self, bias: Tensor) -> Tensor:
        """Returns a number for each output, to be added to all places of that output."""
        return bias.reshape(-1, *[1] * (self.weight.dim() - 2))


def _stacked(inputs: Tensor, weight: Tensor) -> Tensor:
    return torch.bmm(weight, inputs)


class MomentActivation(StackLayer):
    """An activation f: mean f(m), variance f'(m)^2 s."""

    def __init__(self, activation: nn.Module) -> None:
        super().__init__()
        self._function, self._slope = activation, SLOPES[type(activation)]

    def forward(self, moments: Tensor) -> Tensor:
        """Returns the moments of each entry's activation."""
        mean, variance = moments.unbind(dim=1)
        return torch.stack(self._of(mean, variance), dim=1)

    @property
    def reads(self) -> int:
        """A mean and a variance of each unit."""
        return 2

    def on_stack(self, own: Mapping[str, Tensor], hidden: Hidden) -> Hidden:
        """Returns the moments (K, units, n) of a stack; see `StackLayer`."""
        mean, variance = hidden
        return self._of(mean, variance)

    def _of(self, mean: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
        return self._function(mean), self._slope(mean).square() * variance


class MomentAveragePool(nn.Module):
    """Means over square windows: exact for independent entries."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def forward(self, moments: Tensor) -> Tensor:
        """Returns the moments of the windows' means."""
        mean, variance = moments.unbind(dim=1)
        pooled = functional.avg_pool2d(mean, self.size)
        spread = functional.avg_pool2d(variance, self.size) / self.size**2
        return torch.stack([pooled, spread], dim=1)


class MomentMaxPool(nn.Module):
    """The largest mean of each window of `size` x `size`, with the variance at its place."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def forward(self, moments: Tensor) -> Tensor:
        """Returns the moments of the windows' winners."""
        mean, variance = moments.unbind(dim=1)
        pooled, places = functional.max_pool2d(mean, self.size, return_indices=True)
        spread = variance.flatten(2).gather(2, places.flatten(2)).reshape(pooled.shape)
        return torch.stack([pooled, spread], dim=1)


def _side(layer: nn.AvgPool2d | nn.MaxPool2d) -> int:
    assert isinstance(layer.kernel_size, int)
    return layer.kernel_size


def with_moments(module: nn.Sequential, bias: Bias, *, shared: bool = False) -> nn.Sequential:
    """Returns the network that hands on moments in the place of values; outputs (n, 2 k).

    First the k means, then their variances. The affine layers' values become the means; the
    variances of the weights are left to be filled.

    Args:
        module: flattenings, affine layers, activations and pooling over squares, one after another.
        bias: what the biases are, see `GaussianAffine`.
        shared: whether all weights of a convolution's filter have one variance.
    """
    layers: list[nn.Module] = []
    certain = True
    for layer in module:
        if isinstance(layer, (nn.Linear, nn.Conv2d)):
            one = shared and isinstance(layer, nn.Conv2d)
            layers.append(GaussianAffine(layer, certain=certain, bias=bias, shared=one))
            certain = False
        elif isinstance(layer, nn.Flatten):
            layers.append(nn.Flatten(1 if certain else 2))
        elif isinstance(layer, nn.AvgPool2d):
            layers.append(MomentAveragePool(_side(layer)))
        elif isinstance(layer, nn.MaxPool2d):
            layers.append(MomentMaxPool(_side(layer)))
        else:
            layers.append(MomentActivation(layer))
    return nn.Sequential(*layers, nn.Flatten())
