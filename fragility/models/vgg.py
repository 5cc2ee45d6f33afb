"""VGG networks for small images."""

from __future__ import annotations

from typing import Literal

from pydantic import PositiveFloat, PositiveInt
from torch import nn

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

_CHANNELS = (64, 128, 256, 512, 512)
_CONVOLUTIONS: dict[int, tuple[int, ...]] = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2)}
_SMALLEST = 2 ** len(_CHANNELS)


class VGG(Model):
    """VGG-11 or VGG-13 in the form for images of 32 x 32.

    Five stages of 3 x 3 convolutions, each ending in pooling over 2 x 2, and the affine layers of
    `hidden` before the outputs: none in the usual form for CIFAR-10, `[4096, 4096, 1000]` in the
    one of Epifano et al., 32,394,562 parameters there. Their dropout is
    `regularization: {kind: dropout, rate: 0.4, layers: last_hidden}`.

    Without normalization and with `initialization: torch` the signal fades from layer to layer, and
    training may not begin: `kaiming_normal` keeps it, and so does every normalization.

    Valid when: examples are images of at least 32 x 32. The maxima have kinks, and so has ReLU.
    Cost: VGG-11 about 153 million, VGG-13 about 228 million multiplications an example of CIFAR-10,
        and 9.2 and 9.4 million parameters: estimators that write out the curvature take the
        `last_layer` only.
    Reference: Simonyan and Zisserman 2015, table 1; Wu and He 2018 (group normalization); Epifano
        et al. 2023, section 4.2.
    """

    kind: Literal["vgg"] = "vgg"
    depth: Literal[11, 13] = 11
    """Layers with weights in the original, of which 8 or 10 are convolutions."""
    hidden: tuple[PositiveInt, ...] = ()
    """Widths of the affine layers between the convolutions and the outputs."""
    width: PositiveFloat = 1.0
    """Factor of the number of channels."""
    activation: Activation = "relu"
    """Activation after each hidden layer."""
    normalization: Normalization = "none"
    """After each convolution: `group` normalizes each example's channels group by group; `batch`
    gives each channel mean 0 and variance 1 over training examples once, at the initial values."""
    groups: PositiveInt = 32
    """Most groups of channels; taken is the largest number up to it that divides them evenly."""
    initialization: Initialization = "torch"
    """Initial values: `torch` is U(+-1/sqrt(fan_in)); the others leave biases at 0."""

    def build(self, input_shape: tuple[int, ...], outputs: int) -> nn.Module:
        """Returns the stages one after the other, flatten, and the affine layers."""
        size, height, width = image_shape(self.kind, input_shape, _SMALLEST)
        activation = ACTIVATIONS[self.activation]
        layers: list[nn.Module] = []
        for count, channels in zip(_CONVOLUTIONS[self.depth], _CHANNELS, strict=True):
            for _ in range(count):
                before, size = size, scaled(channels, self.width)
                layers.append(nn.Conv2d(before, size, 3, padding=1))
                layers += [*normalized(self.normalization, size, self.groups), activation()]
            layers.append(nn.MaxPool2d(2))
        layers.append(nn.Flatten())
        size *= (height // _SMALLEST) * (width // _SMALLEST)
        for hidden in self.hidden:
            layers += [nn.Linear(size, hidden), activation()]
            size = hidden
        layers.append(nn.Linear(size, outputs))
        return initialized(nn.Sequential(*layers), self.initialization)
