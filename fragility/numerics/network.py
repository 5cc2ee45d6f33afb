"""A network as a pure function of its parameters, and parameters as one flat vector."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from math import prod
from typing import Literal

import torch
from torch import Tensor, nn
from torch.func import functional_call

ParameterSet = Literal["all", "last_layer", "last_layer_weight"]


@dataclass(frozen=True)
class Layout:
    """The order in which named parameters lie in one flat vector."""

    names: tuple[str, ...]
    shapes: tuple[torch.Size, ...]

    @cached_property
    def sizes(self) -> tuple[int, ...]:
        """Number of entries of each parameter."""
        return tuple(prod(shape) for shape in self.shapes)

    @property
    def size(self) -> int:
        """Length of the flat vector."""
        return sum(self.sizes)

    def flatten(self, parameters: Mapping[str, Tensor]) -> Tensor:
        """Returns the flat vectors (..., size) of parameters that may share leading axes."""
        flat = []
        for name, shape in zip(self.names, self.shapes, strict=True):
            value = parameters[name]
            flat.append(value.reshape(*value.shape[: value.ndim - len(shape)], -1))
        return torch.cat(flat, dim=-1)

    def unflatten(self, flat: Tensor) -> dict[str, Tensor]:
        """Returns the named parameters, as views, of flat vectors (..., size)."""
        # `split` and not slices: its backward is one concatenation.
        parts = torch.split(flat, list(self.sizes), dim=-1)
        lead = flat.shape[:-1]
        return {
            name: part.reshape((*lead, *shape))
            for name, part, shape in zip(self.names, parts, self.shapes, strict=True)
        }

    def restrict(self, names: Sequence[str]) -> Layout:
        """Returns the layout of some of the parameters, in this layout's order."""
        kept = [(n, s) for n, s in zip(self.names, self.shapes, strict=True) if n in names]
        return Layout(tuple(n for n, _ in kept), tuple(s for _, s in kept))


@dataclass(frozen=True)
class Network:
    """An architecture: `module` gives the computation, parameters come from outside."""

    module: nn.Module

    @cached_property
    def layout(self) -> Layout:
        """All parameters in the module's own order."""
        named = list(self.module.named_parameters())
        return Layout(tuple(n for n, _ in named), tuple(p.shape for _, p in named))

    def __call__(self, parameters: Mapping[str, Tensor], inputs: Tensor) -> Tensor:
        """Returns the outputs (n, k) for inputs (n, ...)."""
        outputs: Tensor = functional_call(self.module, dict(parameters), (inputs,))
        return outputs

    @cached_property
    def last_layer(self) -> str:
        """Name of the last module that owns parameters."""
        owners = [n for n, m in self.module.named_modules() if list(m.parameters(recurse=False))]
        return str(owners[-1])

    def select(self, which: ParameterSet) -> Layout:
        """Returns the layout of all parameters, of the last layer, or of its weight alone."""
        if which == "all":
            return self.layout
        prefix = f"{self.last_layer}." if self.last_layer else ""
        names = [n for n in self.layout.names if n.startswith(prefix)]
        if which == "last_layer_weight":
            names = [n for n in names if n == f"{prefix}weight"]
        return self.layout.restrict(names)

    @cached_property
    def head(self) -> Network | None:
        """The last layer alone as a network of its own, or None where it is not affine and last.

        Its parameters lie in the order of `select("last_layer")`.
        """
        layer = self.module.get_submodule(self.last_layer)
        is_end = isinstance(self.module, nn.Sequential) and self.module[-1] is layer
        if not isinstance(layer, nn.Linear) or not is_end:
            return None
        return Network(nn.Sequential(nn.Flatten(), layer))

    @torch.no_grad()
    def features(self, parameters: Mapping[str, Tensor], inputs: Tensor) -> Tensor:
        """Returns what the last layer sees, (n, features)."""
        seen: list[Tensor] = []
        layer = self.module.get_submodule(self.last_layer)
        handle = layer.register_forward_pre_hook(lambda module, given: seen.append(given[0]))
        try:
            self(parameters, inputs)
        finally:
            handle.remove()
        return seen[0].flatten(1)


@lru_cache(maxsize=256)
def activations(network: Network, input_shape: tuple[int, ...]) -> int:
    """Returns how many numbers the forward pass of one example computes, layer by layer."""
    counted: list[int] = []

    def count(module: nn.Module, inputs: object, output: Tensor) -> None:
        counted.append(output.numel())

    leaves = [module for module in network.module.modules() if not list(module.children())]
    handles = [leaf.register_forward_hook(count) for leaf in leaves]
    try:
        with torch.no_grad():
            network.module(torch.zeros(1, *input_shape))
    finally:
        for handle in handles:
            handle.remove()
    return sum(counted)
