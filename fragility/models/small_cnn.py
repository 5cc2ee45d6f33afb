"""The small convolutional network of Koh and Liang."""

from __future__ import annotations

from typing import Literal

from pydantic import PositiveInt
from torch import nn

from fragility.models._layers import (
    ACTIVATIONS,
    Activation,
    Initialization,
    image_shape,
    initialized,
)
from fragility.models.base import Model

_LAST_MAPS = 10
_SMALLEST = 21
"""Side of the smallest image of which the last 3 x 3 convolution leaves something."""


class SmallCNN(Model):
    """The all-convolutional network of Koh and Liang: seven layers, 2,616 parameters on MNIST.

    3 x 3 convolutions without padding, of strides 1, 2, 1, 2 and 1, a 1 x 1 convolution to 10 maps,
    their means over the image, and an affine layer. Small enough for the dense Hessian of all
    parameters, and smooth.

    Valid when: examples are images of at least 21 x 21; influence functions need a smooth
        activation and a trained optimum.
    Cost: about 200,000 multiplications an example of MNIST.
    Reference: Koh and Liang 2017, section 4.2, after Springenberg et al. 2015; on MNIST also Basu
        et al. 2021. Their initial weights are normal, `kaiming_normal` the nearest here.
    """

    kind: Literal["small_cnn"] = "small_cnn"
    width: PositiveInt = 8
    """Maps of each of the five 3 x 3 convolutions."""
    activation: Activation = "tanh"
    """Activation after each convolution."""
    initialization: Initialization = "torch"
    """Initial values: `torch` is U(+-1/sqrt(fan_in)); the others leave biases at 0."""

    def build(self, input_shape: tuple[int, ...], outputs: int) -> nn.Module:
        """Returns six convolutions with activations, the mean over the image, an affine layer."""
        maps, _, _ = image_shape(self.kind, input_shape, _SMALLEST)
        layers: list[nn.Module] = []
        for stride in (1, 2, 1, 2, 1):
            layers.append(nn.Conv2d(maps, self.width, 3, stride=stride))
            layers.append(ACTIVATIONS[self.activation]())
            maps = self.width
        layers += [nn.Conv2d(maps, _LAST_MAPS, 1), ACTIVATIONS[self.activation]()]
        layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(_LAST_MAPS, outputs)]
        return initialized(nn.Sequential(*layers), self.initialization)
