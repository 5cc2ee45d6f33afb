"""LeNet-5."""

from __future__ import annotations

from typing import Literal

from pydantic import NonNegativeInt, PositiveFloat
from torch import nn

from fragility.models._layers import (
    ACTIVATIONS,
    Activation,
    Initialization,
    image_shape,
    initialized,
    scaled,
)
from fragility.models.base import Model

_SIDE = 32
_POOLING: dict[str, type[nn.Module]] = {"average": nn.AvgPool2d, "max": nn.MaxPool2d}


class LeNet(Model):
    """LeNet-5: two convolutions with pooling, then three affine layers.

    6 and 16 filters of 5 x 5, each followed by pooling over 2 x 2, and affine layers of 120 and 84
    before the outputs: 61,706 parameters on MNIST. The 120 units that read the last feature maps
    are an affine layer, which on images of 32 x 32 is what LeCun's convolution C5 computes.

    Valid when: examples are images of at least 16 x 16 once padded; influence functions need a
        smooth activation and pooling and a trained optimum.
    Cost: about 420,000 multiplications an example.
    Reference: LeCun, Bottou, Bengio and Haffner 1998, section II.B.
    """

    kind: Literal["lenet"] = "lenet"
    width: PositiveFloat = 1.0
    """Factor of the number of filters and hidden units."""
    activation: Activation = "tanh"
    """Activation after each hidden layer."""
    pooling: Literal["average", "max"] = "average"
    """How each 2 x 2 window is pooled; `max` has kinks."""
    padding: NonNegativeInt | None = None
    """Zeros around the image in the first convolution; null: so many that no side is below 32."""
    initialization: Initialization = "torch"
    """Initial values: `torch` is U(+-1/sqrt(fan_in)); the others leave biases at 0."""

    def build(self, input_shape: tuple[int, ...], outputs: int) -> nn.Module:
        """Returns convolution, activation and pooling twice, then three affine layers."""
        smallest = 1 if self.padding is None else max(1, 16 - 2 * self.padding)
        channels, height, width = image_shape(self.kind, input_shape, smallest)
        padding = self.padding
        if padding is None:
            padding = max(0, _SIDE + 1 - min(height, width)) // 2
        first, second, third, fourth = (scaled(size, self.width) for size in (6, 16, 120, 84))
        activation, pooling = ACTIVATIONS[self.activation], _POOLING[self.pooling]
        rows, columns = (((side + 2 * padding - 4) // 2 - 4) // 2 for side in (height, width))
        module = nn.Sequential(
            nn.Conv2d(channels, first, 5, padding=padding),
            activation(),
            pooling(2),
            nn.Conv2d(first, second, 5),
            activation(),
            pooling(2),
            nn.Flatten(),
            nn.Linear(second * rows * columns, third),
            activation(),
            nn.Linear(third, fourth),
            activation(),
            nn.Linear(fourth, outputs),
        )
        return initialized(module, self.initialization)
