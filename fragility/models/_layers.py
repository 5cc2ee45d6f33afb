"""What the networks share: activations, initial values, and what image networks ask of data."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from pydantic import BaseModel, ConfigDict, NonNegativeInt
from torch import Tensor, nn

from fragility.errors import DataError
from fragility.models._channel_scale import ChannelScale

Activation = Literal["relu", "tanh", "selu", "gelu", "softplus", "sigmoid", "elu", "silu"]


class TorchSeed(BaseModel):
    """torch's own initial values under a seed of its global generator.

    Those of a script that calls `torch.manual_seed(14)` and then makes its layers, first to last.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    torch_seed: NonNegativeInt
    """Seed of the first repeat; every further repeat has the next one."""


Scheme = Literal["torch", "xavier_normal", "xavier_uniform", "kaiming_normal", "orthogonal"]
Initialization = Scheme | TorchSeed
Normalization = Literal["none", "group", "batch"]

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
    "selu": nn.SELU,
    "gelu": nn.GELU,
    "softplus": nn.Softplus,
    "sigmoid": nn.Sigmoid,
    "elu": nn.ELU,
    "silu": nn.SiLU,
}
_WEIGHTS: dict[str, Callable[[Tensor], Tensor]] = {
    "xavier_normal": nn.init.xavier_normal_,
    "xavier_uniform": nn.init.xavier_uniform_,
    "kaiming_normal": nn.init.kaiming_normal_,
    "orthogonal": nn.init.orthogonal_,
}


def initialized(module: nn.Module, initialization: Initialization) -> nn.Module:
    """Returns the module with its affine layers' initial values: weights drawn so, biases 0."""
    if isinstance(initialization, str) and initialization != "torch":
        for layer in module.modules():
            if isinstance(layer, (nn.Linear, nn.Conv2d)):
                _WEIGHTS[initialization](layer.weight)
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)
    return module


def image_shape(kind: str, input_shape: tuple[int, ...], smallest: int) -> tuple[int, int, int]:
    """Returns channels, height and width of one example.

    Raises:
        DataError: examples are no images, or smaller than `smallest` on a side.
    """
    if len(input_shape) != 3:
        numbers = " x ".join(map(str, input_shape))
        raise DataError(
            f"A model `{kind}` reads images (channels, height, width), and an example of this "
            f"dataset is {numbers} numbers.",
            "Use a dataset of images, or a model `mlp`.",
        )
    channels, height, width = input_shape
    if min(height, width) < smallest:
        raise DataError(
            f"A model `{kind}` needs images of at least {smallest} x {smallest}, and those of this "
            f"dataset are {height} x {width}.",
            "Pad or resize them, or use a smaller model.",
        )
    return channels, height, width


def scaled(size: int, width: float) -> int:
    """Returns a number of channels or hidden units times a factor, at least 1."""
    return max(1, round(size * width))


def normalized(normalization: Normalization, channels: int, groups: int) -> list[nn.Module]:
    """Returns the normalization after a convolution, if any, in the most groups that divide evenly.

    `batch` takes its statistics once: those of minibatches would make an example's outputs depend
    on the others of a batch, so that its loss, and what removing it does, would not be its own.
    """
    if normalization == "none":
        return []
    if normalization == "batch":
        return [ChannelScale(channels)]
    divisor = max(count for count in range(1, min(groups, channels) + 1) if channels % count == 0)
    return [nn.GroupNorm(divisor, channels)]
