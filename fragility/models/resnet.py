"""Residual networks for small images."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from pydantic import PositiveFloat, PositiveInt
from torch import Tensor, nn

from fragility.models._layers import (
    ACTIVATIONS,
    Activation,
    Initialization,
    Normalization,
    image_shape,
    initialized,
    normalized,
    scaled,
)
from fragility.models.base import Model

_SMALLEST = 8


class ResNet(Model):
    """ResNet-18 or ResNet-9 in the form for images of 32 x 32.

    ResNet-18: a 3 x 3 convolution to 64 channels, four stages of two basic blocks with 64, 128, 256
    and 512 channels, the mean over the image and an affine layer. ResNet-9: convolutions to 64,
    128, 256 and 512 channels, the last three followed by pooling over 2 x 2, a block of two
    convolutions around the second and the fourth, the maximum over the image and an affine layer.

    Batch normalization, which the originals have, makes an example's loss depend on the others of
    its batch. `normalization: batch` takes its statistics once, over 1,024 training examples at
    most, evenly spaced, at the initial values; scale and shift, into which they are folded, are
    parameters from then on, so that retraining, evaluation and curvature all see the same function.
    A retraining that starts warm keeps what its base model has of them, a cold one takes them anew,
    over the examples of its base model: with the one that is removed. Without normalization
    convolutions have biases.

    Valid when: examples are images of at least 8 x 8. ReLU has kinks, and so have maxima. The scale
        and shift of a group normalization have no Kronecker factors: `kfac` and `ekfac` are asked
        for convolutions and affine layers by name, or for the `last_layer`.
    Cost: ResNet-9 about 379 million, ResNet-18 about 555 million multiplications an example of
        CIFAR-10, and 6.6 and 11.2 million parameters.
    Reference: He, Zhang, Ren and Sun 2016; Page 2018, "How to train your ResNet" (ResNet-9); Wu and
        He 2018 (group normalization); Ioffe and Szegedy 2015 (batch normalization); Kingma and
        Dhariwal 2018, section 3.1 (statistics taken once).
    """

    kind: Literal["resnet"] = "resnet"
    depth: Literal[9, 18] = 9
    """Layers with weights."""
    width: PositiveFloat = 1.0
    """Factor of the number of channels."""
    activation: Activation = "relu"
    """Activation after each hidden layer."""
    normalization: Normalization = "group"
    """After each convolution: `group` normalizes each example's channels group by group; `batch`
    gives each channel mean 0 and variance 1 over training examples once, at the initial values."""
    groups: PositiveInt = 32
    """Most groups of channels; taken is the largest number up to it that divides them evenly."""
    initialization: Initialization = "torch"
    """Initial values: `torch` is U(+-1/sqrt(fan_in)); the others leave biases at 0."""

    def build(self, input_shape: tuple[int, ...], outputs: int) -> nn.Module:
        """Returns the stem, the blocks and the head as one sequence."""
        channels, _, _ = image_shape(self.kind, input_shape, _SMALLEST)
        layers = (self._eighteen if self.depth == 18 else self._nine)(channels)
        layers.append(nn.Linear(scaled(512, self.width), outputs))
        return initialized(nn.Sequential(*layers), self.initialization)

    def _eighteen(self, channels: int) -> list[nn.Module]:
        sizes = [scaled(size, self.width) for size in (64, 128, 256, 512)]
        layers = [*self._convolution(channels, sizes[0]), self._activation()]
        before = sizes[0]
        for stage, size in enumerate(sizes):
            for stride in (1 if stage == 0 else 2, 1):
                layers.append(self._basic_block(before, size, stride))
                before = size
        return [*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten()]

    def _basic_block(self, before: int, size: int, stride: int) -> nn.Module:
        branch = [
            *self._convolution(before, size, stride=stride),
            self._activation(),
            *self._convolution(size, size),
        ]
        shortcut: list[nn.Module] = []
        if stride != 1 or before != size:
            shortcut = self._convolution(before, size, kernel=1, stride=stride)
        return Residual(branch, shortcut, [self._activation()])

    def _nine(self, channels: int) -> list[nn.Module]:
        stem, *sizes = (scaled(size, self.width) for size in (64, 128, 256, 512))
        layers = [*self._convolution(channels, stem), self._activation()]
        before = stem
        for stage, size in enumerate(sizes):
            layers += [*self._convolution(before, size), self._activation(), nn.MaxPool2d(2)]
            if stage != 1:
                pair = [*self._convolution(size, size), self._activation()]
                pair += [*self._convolution(size, size), self._activation()]
                layers.append(Residual(pair, [], []))
            before = size
        return [*layers, GlobalMax()]

    def _convolution(
        self, before: int, size: int, *, kernel: int = 3, stride: int = 1
    ) -> list[nn.Module]:
        bias = self.normalization == "none"
        convolution = nn.Conv2d(before, size, kernel, stride, kernel // 2, bias=bias)
        return [convolution, *normalized(self.normalization, size, self.groups)]

    @property
    def _activation(self) -> Callable[[], nn.Module]:
        return ACTIVATIONS[self.activation]


class Residual(nn.Module):
    """A branch added to its own inputs, which a shortcut may project, and what follows the sum."""

    def __init__(
        self, branch: list[nn.Module], shortcut: list[nn.Module], after: list[nn.Module]
    ) -> None:
        super().__init__()
        self.branch = nn.Sequential(*branch)
        self.shortcut = nn.Sequential(*shortcut)
        self.after = nn.Sequential(*after)

    def forward(self, inputs: Tensor) -> Tensor:
        """Returns the images (n, channels, height, width) after the block."""
        outputs: Tensor = self.after(self.shortcut(inputs) + self.branch(inputs))
        return outputs


class GlobalMax(nn.Module):
    """The largest entry of each channel."""

    def forward(self, inputs: Tensor) -> Tensor:
        """Returns (n, channels) of images (n, channels, height, width)."""
        return inputs.amax(dim=(2, 3))
