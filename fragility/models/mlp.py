"""The multilayer perceptron."""

from __future__ import annotations

from math import prod
from typing import Literal

from pydantic import Field, PositiveInt, model_validator
from torch import nn

from fragility.method import canonical
from fragility.models._layers import ACTIVATIONS, Activation, Initialization, initialized
from fragility.models.base import Model


class MLP(Model):
    """A fully connected network: affine layers with an activation between them.

    Give either `hidden`, the widths one by one, or `width` and `depth` (the number of hidden
    layers). ReLU and SELU have kinks, where the Hessian misses part of the curvature; `tanh`,
    `gelu` and `softplus` are smooth.

    Valid when: influence functions need a smooth activation and a trained optimum.
    Cost: the sum of the products of neighbouring widths.
    Reference: Epifano et al. 2023, section 4.1.
    """

    kind: Literal["mlp"] = "mlp"
    hidden: tuple[PositiveInt, ...] | None = Field(default=None, min_length=1)
    """Widths of the hidden layers, first to last."""
    width: PositiveInt | None = None
    """Width of every hidden layer, with `depth`."""
    depth: PositiveInt | None = None
    """Number of hidden layers, with `width` (or with a `hidden` whose widths are all equal)."""
    activation: Activation = "relu"
    """Activation after each hidden layer."""
    initialization: Initialization = "torch"
    """Initial values: `torch` is U(+-1/sqrt(fan_in)); the others leave biases at 0. With
    `{torch_seed: 14}` they are torch's after `torch.manual_seed(14)`, in repeat 1 after 15."""

    @model_validator(mode="after")
    def _widths_are_given_once(self) -> MLP:
        if self.hidden is None:
            if self.width is None or self.depth is None:
                raise ValueError("give `hidden: [..]`, or both `width` and `depth`")
        elif self.width is not None:
            raise ValueError("give either `hidden` or `width` and `depth`, not both")
        elif self.depth is not None and len(set(self.hidden)) > 1:
            raise ValueError("`depth` needs `width`, or a `hidden` whose widths are all equal")
        return self

    @property
    def widths(self) -> tuple[int, ...]:
        """Widths of the hidden layers."""
        if self.hidden is not None:
            return self.hidden if self.depth is None else self.hidden[:1] * self.depth
        assert self.width is not None
        assert self.depth is not None
        return (self.width,) * self.depth

    def identity(self) -> dict[str, object]:  # type: ignore[override]
        """Returns the identity, the same however the widths are written."""
        return {
            "revision": self.revision,
            "kind": self.kind,
            "widths": list(self.widths),
            "activation": self.activation,
            "initialization": canonical(self.initialization),
        }

    def build(self, input_shape: tuple[int, ...], outputs: int) -> nn.Module:
        """Returns flatten, then affine and activation for each width, then the affine output."""
        layers: list[nn.Module] = [nn.Flatten()]
        fan_in = prod(input_shape)
        for width in self.widths:
            layers += [nn.Linear(fan_in, width), ACTIVATIONS[self.activation]()]
            fan_in = width
        layers.append(nn.Linear(fan_in, outputs))
        return initialized(nn.Sequential(*layers), self.initialization)
