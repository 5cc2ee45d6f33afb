"""Layers linearized at a point: how changes of their inputs and parameters move through them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import grad

from fragility.numerics.fused_forward import ELEMENTWISE

Tangents = Mapping[str, Tensor]
"""Directions of parameters by name, each with a leading axis of T vectors."""

_LINEAR_MAPS = (nn.Flatten, nn.AvgPool2d, nn.AdaptiveAvgPool2d, nn.ZeroPad2d, nn.Identity)
# torch declares no types here.
_input_gradient: Any = grad.conv2d_input
_weight_gradient: Any = grad.conv2d_weight

NOTHING_IN_EVALUATION = (nn.Dropout, nn.Dropout2d)
"""Layers that hand on what they see when a model is evaluated."""


def is_known(layer: nn.Module) -> bool:
    """Whether a layer can be linearized here."""
    if isinstance(layer, nn.Conv2d):
        return layer.padding_mode == "zeros" and layer.padding != "same"
    return isinstance(
        layer, (nn.Linear, nn.MaxPool2d, *ELEMENTWISE, *_LINEAR_MAPS, *NOTHING_IN_EVALUATION)
    )


class Piece(ABC):
    """One layer, linearized at its inputs (n, ...).

    Tangents and cotangents have a leading axis of vectors: (T, n, ...).
    """

    output: Tensor
    curved = False
    """Whether the layer's own second derivative in its inputs may differ from 0."""

    @abstractmethod
    def push(self, tangent: Tensor) -> Tensor:
        """Returns the change of the outputs that a change of the inputs makes."""

    @abstractmethod
    def pull(self, cotangent: Tensor) -> Tensor:
        """Returns what gradients of the outputs are as gradients of the inputs."""

    def bend(self, tangent: Tensor, gradient: Tensor) -> Tensor:
        """Returns the change of `pull(gradient)` (n, ...) that a change of the inputs makes."""
        raise NotImplementedError


class Affine(Piece):
    """A layer that is linear in its inputs and in its weight, with or without a bias."""

    inputs: Tensor

    @abstractmethod
    def push_weight(self, weights: Tensor) -> Tensor:
        """Returns the change of the outputs that changes of the weight (T, ...) make."""

    @abstractmethod
    def pull_weight(self, gradient: Tensor, weights: Tensor) -> Tensor:
        """Returns `pull` of one gradient of the outputs (n, ...) through T other weights."""

    @abstractmethod
    def weight_gradients(self, cotangent: Tensor) -> Tensor:
        """Returns the gradients of the weight, summed over examples: (T, ...)."""

    @abstractmethod
    def weight_gradients_at(self, gradient: Tensor, tangent: Tensor) -> Tensor:
        """Returns the same of one gradient (n, ...), with changes of the inputs for the inputs."""

    @abstractmethod
    def bias_gradients(self, cotangent: Tensor) -> Tensor:
        """Returns the gradients of the bias, summed over examples: (T, k)."""

    @abstractmethod
    def shift(self, biases: Tensor) -> Tensor:
        """Returns changes of the bias (T, k) as changes of the outputs, to be expanded."""


class Dense(Affine):
    """An affine layer a W^T + b."""

    def __init__(self, layer: nn.Linear, weight: Tensor, bias: Tensor | None, inputs: Tensor):
        self.inputs, self.weight = inputs, weight
        self.output = nn.functional.linear(inputs, weight, bias)

    def push(self, tangent: Tensor) -> Tensor:
        """Returns the change of the outputs that a change of the inputs makes."""
        return tangent @ self.weight.T

    def pull(self, cotangent: Tensor) -> Tensor:
        """Returns what gradients of the outputs are as gradients of the inputs."""
        return cotangent @ self.weight

    def push_weight(self, weights: Tensor) -> Tensor:
        """Returns the change of the outputs that changes of the weight make."""
        return self.inputs @ weights.transpose(1, 2)

    def pull_weight(self, gradient: Tensor, weights: Tensor) -> Tensor:
        """Returns `pull` of one gradient through each of T other weights."""
        return gradient @ weights

    def weight_gradients(self, cotangent: Tensor) -> Tensor:
        """Returns the gradients of the weight, summed over examples."""
        return cotangent.transpose(1, 2) @ self.inputs

    def weight_gradients_at(self, gradient: Tensor, tangent: Tensor) -> Tensor:
        """Returns the same of one gradient, with changes of the inputs."""
        return gradient.T @ tangent

    def bias_gradients(self, cotangent: Tensor) -> Tensor:
        """Returns the gradients of the bias, summed over examples."""
        return cotangent.sum(dim=1)

    def shift(self, biases: Tensor) -> Tensor:
        """Returns changes of the bias as changes of the outputs."""
        return biases.unsqueeze(1)


class Convolution(Affine):
    """A convolution of images (n, c, h, w)."""

    def __init__(self, layer: nn.Conv2d, weight: Tensor, bias: Tensor | None, inputs: Tensor):
        self.inputs, self.weight = inputs, weight
        self._how: dict[str, Any] = {
            "stride": layer.stride,
            "padding": layer.padding,
            "dilation": layer.dilation,
            "groups": layer.groups,
        }
        self.output = nn.functional.conv2d(inputs, weight, bias, **self._how)

    def push(self, tangent: Tensor) -> Tensor:
        """Returns the change of the outputs that a change of the inputs makes."""
        flat = nn.functional.conv2d(tangent.flatten(0, 1), self.weight, **self._how)
        return _by_vectors(flat, len(tangent))

    def pull(self, cotangent: Tensor) -> Tensor:
        """Returns what gradients of the outputs are as gradients of the inputs."""
        flat = self._to_inputs(cotangent.flatten(0, 1), self.weight)
        return _by_vectors(flat, len(cotangent))

    def push_weight(self, weights: Tensor) -> Tensor:
        """Returns the change of the outputs that changes of the weight make."""
        return torch.stack([nn.functional.conv2d(self.inputs, one, **self._how) for one in weights])

    def pull_weight(self, gradient: Tensor, weights: Tensor) -> Tensor:
        """Returns `pull` of one gradient through each of T other weights."""
        return torch.stack([self._to_inputs(gradient, one) for one in weights])

    def weight_gradients(self, cotangent: Tensor) -> Tensor:
        """Returns the gradients of the weight, summed over examples."""
        return torch.stack([self._to_weight(self.inputs, one) for one in cotangent])

    def weight_gradients_at(self, gradient: Tensor, tangent: Tensor) -> Tensor:
        """Returns the same of one gradient, with changes of the inputs."""
        return torch.stack([self._to_weight(one, gradient) for one in tangent])

    def bias_gradients(self, cotangent: Tensor) -> Tensor:
        """Returns the gradients of the bias, summed over examples."""
        return cotangent.sum(dim=(1, 3, 4))

    def shift(self, biases: Tensor) -> Tensor:
        """Returns changes of the bias as changes of the outputs."""
        return biases[:, None, :, None, None]

    def _to_inputs(self, gradient: Tensor, weight: Tensor) -> Tensor:
        shape = (len(gradient), *self.inputs.shape[1:])
        found: Tensor = _input_gradient(shape, weight, gradient, **self._how)
        return found

    def _to_weight(self, inputs: Tensor, gradient: Tensor) -> Tensor:
        found: Tensor = _weight_gradient(inputs, self.weight.shape, gradient, **self._how)
        return found


class Elementwise(Piece):
    """An activation f of each entry."""

    def __init__(self, layer: nn.Module, inputs: Tensor, *, second: bool):
        with torch.enable_grad():
            point = inputs.detach().requires_grad_()
            # A module that works in place would change the point itself.
            self.output = layer(point * 1)
            (slope,) = torch.autograd.grad(self.output.sum(), point, create_graph=second)
            bend = None
            if second and slope.requires_grad:
                (bend,) = torch.autograd.grad(slope.sum(), point, allow_unused=True)
        self.output, self.slope = self.output.detach(), slope.detach()
        self._bend = bend
        self.curved = bend is not None

    def push(self, tangent: Tensor) -> Tensor:
        """Returns the change of the outputs that a change of the inputs makes."""
        return tangent * self.slope

    def pull(self, cotangent: Tensor) -> Tensor:
        """Returns what gradients of the outputs are as gradients of the inputs."""
        return cotangent * self.slope

    def bend(self, tangent: Tensor, gradient: Tensor) -> Tensor:
        """Returns the change of `pull(gradient)` that a change of the inputs makes."""
        assert self._bend is not None
        return tangent * (self._bend * gradient)


class LinearMap(Piece):
    """A layer without parameters that is linear in its inputs."""

    def __init__(self, layer: nn.Module, inputs: Tensor):
        self._layer, self._shape = layer, inputs.shape[1:]
        self.output = layer(inputs)

    def push(self, tangent: Tensor) -> Tensor:
        """Returns the change of the outputs that a change of the inputs makes."""
        mapped: Tensor = self._layer(tangent.flatten(0, 1))
        return _by_vectors(mapped, len(tangent))

    def pull(self, cotangent: Tensor) -> Tensor:
        """Returns what gradients of the outputs are as gradients of the inputs."""
        flat = cotangent.flatten(0, 1)
        with torch.enable_grad():
            point = flat.new_zeros(len(flat), *self._shape).requires_grad_()
            (pulled,) = torch.autograd.grad(self._layer(point), point, flat)
        return _by_vectors(pulled, len(cotangent))


class MaxPool(Piece):
    """The largest entry of each window; its place counts as fixed."""

    def __init__(self, layer: nn.MaxPool2d, inputs: Tensor):
        self._plane = inputs.shape[2:]
        self.output, places = nn.functional.max_pool2d(
            inputs,
            layer.kernel_size,
            layer.stride,
            layer.padding,
            layer.dilation,
            layer.ceil_mode,
            return_indices=True,
        )
        self._places = places.flatten(2)

    def push(self, tangent: Tensor) -> Tensor:
        """Returns the change of the outputs that a change of the inputs makes."""
        places = self._places.expand(len(tangent), *self._places.shape)
        return (
            tangent.flatten(3).gather(3, places).reshape(*tangent.shape[:3], *self.output.shape[2:])
        )

    def pull(self, cotangent: Tensor) -> Tensor:
        """Returns what gradients of the outputs are as gradients of the inputs."""
        places = self._places.expand(len(cotangent), *self._places.shape)
        flat = cotangent.new_zeros(*cotangent.shape[:3], self._plane.numel())
        return flat.scatter_add_(3, places, cotangent.flatten(3)).reshape(
            *flat.shape[:3], *self._plane
        )


def _by_vectors(flat: Tensor, vectors: int) -> Tensor:
    """Returns (T n, ...) as (T, n, ...)."""
    return flat.reshape(vectors, -1, *flat.shape[1:])


def linearized(
    layer: nn.Module, name: str, parameters: Tangents, inputs: Tensor, second: bool
) -> Piece:
    """Returns a layer linearized at its inputs (n, ...).

    Args:
        layer: one that `is_known`.
        name: its name, with which the names of its parameters begin.
        parameters: all of a network's.
        inputs: what the layer sees.
        second: whether the second derivative of an activation will be asked for.
    """
    if isinstance(layer, (nn.Linear, nn.Conv2d)):
        weight, bias = parameters[f"{name}.weight"], parameters.get(f"{name}.bias")
        if isinstance(layer, nn.Linear):
            return Dense(layer, weight, bias, inputs)
        return Convolution(layer, weight, bias, inputs)
    if isinstance(layer, nn.MaxPool2d):
        return MaxPool(layer, inputs)
    if isinstance(layer, _LINEAR_MAPS):
        return LinearMap(layer, inputs)
    return Elementwise(layer, inputs, second=second)
