"""The forward pass of a stack of models, layer by layer, in the layout that suits small layers.

A chain of affine layers and elementwise activations is computed with the examples along the last,
contiguous axis: activations (K, width, n). The batched products are then few and long, and the
activations run over whole cache lines, which is several times faster on a processor than mapping
the module over the stack. Layers of other kinds say themselves how they act in this layout, as
those of Bayesian networks do, which hand on a mean and a variance of each unit. Every other
architecture is mapped, and a model alone is called as it is.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.func import vmap

from fragility.numerics.network import Masked, Network

ELEMENTWISE = (nn.ReLU, nn.Tanh, nn.SELU, nn.GELU, nn.Softplus, nn.Sigmoid, nn.ELU, nn.SiLU)

Hidden = tuple[Tensor, ...]
"""What a layer of a stack hands on, each (K, units, n): values, or means and variances."""


class StackLayer(nn.Module, ABC):
    """A layer that says how it acts on a stack, the examples along the last axis."""

    @property
    @abstractmethod
    def reads(self) -> int | None:
        """How many numbers of each unit it reads: inputs are (n, ...) if one, else (n, reads, ...).

        None where it cannot act so: its inputs have further axes, as images have.
        """

    @abstractmethod
    def on_stack(self, own: Mapping[str, Tensor], hidden: Hidden) -> Hidden:
        """Returns what it hands on, given its parameters by name, each with a model axis."""


def stacked_outputs(
    network: Network, parameters: Mapping[str, Tensor], inputs: Tensor, *, own_inputs: bool = False
) -> Tensor:
    """Returns the outputs (K, n, k) of K models.

    Args:
        network: the architecture.
        parameters: every parameter, with a leading model axis.
        inputs: the same examples for all models, shape (n, ...), or with `own_inputs` examples of
            each, shape (K, n, ...).
        own_inputs: whether each model has examples of its own.
    """
    if is_fused(network.module, inputs.dim() - own_inputs):
        return _fused(network.module, parameters, inputs, own_inputs)
    if len(next(iter(parameters.values()))) == 1:
        alone = {name: value[0] for name, value in parameters.items()}
        return network(alone, inputs[0] if own_inputs else inputs).unsqueeze(0)
    mapped: Tensor = vmap(network, in_dims=(0, 0 if own_inputs else None))(dict(parameters), inputs)
    return mapped


def is_chain(module: nn.Module, dimensions: int) -> bool:
    """Whether a module is affine layers and elementwise activations, on flat examples.

    `dimensions` are those of its inputs, the examples' axis included; more than 2 need to be
    flattened first.
    """
    layers = _on_units(module, dimensions, 1)
    return len(layers) > 0 and all(
        isinstance(layer, (nn.Linear, Masked, *ELEMENTWISE)) for layer in layers
    )


def is_fused(module: nn.Module, dimensions: int) -> bool:
    """Whether a stack of a module is computed in this file's layout; arguments as of `is_chain`."""
    return is_chain(module, dimensions) or says_how(module, dimensions)


def says_how(module: nn.Module, dimensions: int) -> bool:
    """Whether all layers of a module say how they act on a stack; `dimensions` as in `is_chain`.

    But the last, which lays what they hand on side by side.
    """
    layers = _on_units(module, dimensions, _reads(module))
    speaking = all(isinstance(layer, StackLayer) and layer.reads for layer in layers[:-1])
    return len(layers) > 1 and speaking and isinstance(layers[-1], nn.Flatten)


def _reads(module: nn.Module) -> int:
    """Returns how many numbers of each unit a module reads."""
    layers = (layer for layer in module.children() if not isinstance(layer, nn.Flatten))
    first = next(layers, None)
    return (first.reads or 1) if isinstance(first, StackLayer) else 1


def _on_units(module: nn.Module, dimensions: int, reads: int) -> list[nn.Module]:
    """Returns the layers of a sequence that see examples without axes but units, else none."""
    if not isinstance(module, nn.Sequential):
        return []
    layers = list(module.children())
    if layers and isinstance(layers[0], nn.Flatten):
        return layers[1:] if layers[0].start_dim == reads else []
    return layers if dimensions == (2 if reads == 1 else 3) else []


def _fused(
    module: nn.Module, parameters: Mapping[str, Tensor], inputs: Tensor, own_inputs: bool
) -> Tensor:
    hidden = _first(inputs, _reads(module), own_inputs, len(next(iter(parameters.values()))))
    for name, layer in module.named_children():
        if isinstance(layer, nn.Linear):
            bias = parameters[f"{name}.bias"].unsqueeze(-1)
            hidden = (torch.baddbmm(bias, parameters[f"{name}.weight"], *hidden),)
        elif isinstance(layer, StackLayer):
            own = {inner: parameters[f"{name}.{inner}"] for inner, _ in layer.named_parameters()}
            hidden = layer.on_stack(own, hidden)
        elif isinstance(layer, Masked):
            mask = parameters.get(f"{name}.mask")
            hidden = hidden if mask is None else (hidden[0] * mask.transpose(1, 2),)
        elif not isinstance(layer, nn.Flatten):
            hidden = (layer(*hidden),)
    outputs = hidden[0] if len(hidden) == 1 else torch.cat(hidden, dim=1)
    return outputs.transpose(1, 2)


def _first(inputs: Tensor, reads: int, own_inputs: bool, models: int) -> Hidden:
    """Returns what the first layer reads."""
    examples = inputs if own_inputs else inputs.unsqueeze(0)
    parts = examples.unbind(2) if reads > 1 else (examples,)
    across = (part.flatten(2).transpose(1, 2) for part in parts)
    if own_inputs:
        return tuple(across)
    return tuple(part.contiguous().expand(models, -1, -1) for part in across)
