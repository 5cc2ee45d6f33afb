"""A network as a pure function of its parameters, and parameters as one flat vector."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property, lru_cache
from math import prod
from typing import Literal

import torch
from torch import Tensor, nn
from torch.func import functional_call

ParameterSet = Literal["all", "last_layer", "last_layer_weight"] | tuple[str, ...]
"""Some of a network's parameters: a word, or patterns of their names such as `3.*`."""


def parameter_words(which: ParameterSet) -> str:
    """Returns a parameter set as a study writes it."""
    return which if isinstance(which, str) else ", ".join(which)


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


class Masked(nn.Module):
    """Multiplies what it sees by a mask, which a training draws; by nothing where none is given."""

    mask: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mask", torch.ones(()))

    def forward(self, hidden: Tensor) -> Tensor:
        """Returns the masked values."""
        return hidden * self.mask


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
        """Returns the layout of all parameters, of the last layer, or of those patterns match.

        Patterns are matched as file names are; one that matches nothing is no error here.
        """
        if which == "all":
            return self.layout
        if not isinstance(which, str):
            matching = [
                n for n in self.layout.names if any(fnmatchcase(n, pattern) for pattern in which)
            ]
            return self.layout.restrict(matching)
        prefix = f"{self.last_layer}." if self.last_layer else ""
        names = [n for n in self.layout.names if n.startswith(prefix)]
        if which == "last_layer_weight":
            names = [n for n in names if n == f"{prefix}weight"]
        return self.layout.restrict(names)

    def split(self, layout: Layout) -> tuple[Network, Network] | None:
        """Returns the part before the first module that holds one of some parameters, and the rest.

        The rest, given what the first part returns, computes what the whole does; both keep the
        names of their parameters. A layer that is masked at random belongs to the rest. None where
        the network is not a sequence of modules, or where nothing before that module has
        parameters.
        """
        return _split(self, layout.names)


@lru_cache(maxsize=256)
def _split(network: Network, names: tuple[str, ...]) -> tuple[Network, Network] | None:
    if not isinstance(network.module, nn.Sequential):
        return None
    children = list(network.module.named_children())
    first = next(
        (
            k
            for k, (child, _) in enumerate(children)
            if any(n.startswith(f"{child}.") for n in names) or _draws(children[k][1])
        ),
        0,
    )
    before, after = children[:first], children[first:]
    if not any(True for _, child in before for _ in child.parameters()):
        return None
    return (
        Network(nn.Sequential(OrderedDict(before)).eval()),
        Network(nn.Sequential(OrderedDict(after)).eval()),
    )


def _draws(module: nn.Module) -> bool:
    return any(isinstance(layer, Masked) for layer in module.modules())


@lru_cache(maxsize=256)
def output_shape(network: Network, input_shape: tuple[int, ...]) -> tuple[int, ...]:
    """Returns the shape of what the network makes of one example."""
    with torch.no_grad():
        return tuple(network.module(torch.zeros(1, *input_shape)).shape[1:])


@lru_cache(maxsize=256)
def activations(network: Network, input_shape: tuple[int, ...]) -> int:
    """Returns how many numbers the forward pass of one example computes, layer by layer."""
    leaves = {n: m for n, m in network.module.named_modules() if not list(m.children())}
    return sum(shape.numel() for _, shape in handed_on(network, leaves, input_shape))


def handed_on(
    network: Network, layers: Mapping[str, nn.Module], input_shape: tuple[int, ...]
) -> list[tuple[str, torch.Size]]:
    """Returns what shape each of some layers hands on of one example, in the order of the pass.

    A layer that is applied twice is there twice. Shapes are those of a batch of one.
    """
    found: list[tuple[str, torch.Size]] = []

    def noting(name: str) -> Callable[..., None]:
        return lambda module, inputs, output: found.append((name, output.shape))

    handles = [layer.register_forward_hook(noting(name)) for name, layer in layers.items()]
    try:
        with torch.no_grad():
            network.module(torch.zeros(1, *input_shape))
    finally:
        for handle in handles:
            handle.remove()
    return found
