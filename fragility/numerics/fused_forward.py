"""The forward pass of a stack of models, layer by layer, in the layout that suits small layers.

A chain of affine layers and elementwise activations is computed with the examples along the last,
contiguous axis: activations (K, width, n). The batched products are then few and long, and the
activations run over whole cache lines, which is several times faster on a processor than mapping
the module over the stack. Every other architecture is mapped, and a model alone is called as it is.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.func import vmap

from fragility.numerics.network import Masked, Network

ELEMENTWISE = (nn.ReLU, nn.Tanh, nn.SELU, nn.GELU, nn.Softplus, nn.Sigmoid, nn.ELU, nn.SiLU)


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
    if is_chain(network.module, inputs.dim() - own_inputs):
        return _chain(network.module, parameters, inputs, own_inputs)
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
    layers = list(module.children())
    flattens = bool(layers) and isinstance(layers[0], nn.Flatten)
    rest = layers[1:] if flattens else layers
    return (
        isinstance(module, nn.Sequential)
        and len(rest) > 0
        and (flattens or dimensions == 2)
        and all(isinstance(layer, (nn.Linear, Masked, *ELEMENTWISE)) for layer in rest)
    )


def _chain(
    module: nn.Module, parameters: Mapping[str, Tensor], inputs: Tensor, own_inputs: bool
) -> Tensor:
    if own_inputs:
        hidden = inputs.flatten(2).transpose(1, 2)
    else:
        models = next(iter(parameters.values())).shape[0]
        flat = inputs.flatten(1).T.contiguous()
        hidden = flat.expand(models, *flat.shape)
    for name, layer in module.named_children():
        if isinstance(layer, nn.Flatten):
            continue
        if isinstance(layer, nn.Linear):
            bias = parameters[f"{name}.bias"].unsqueeze(-1)
            hidden = torch.baddbmm(bias, parameters[f"{name}.weight"], hidden)
        elif isinstance(layer, Masked):
            mask = parameters.get(f"{name}.mask")
            hidden = hidden if mask is None else hidden * mask.transpose(1, 2)
        else:
            hidden = layer(hidden)
    return hidden.transpose(1, 2)
