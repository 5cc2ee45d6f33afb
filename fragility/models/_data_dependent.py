"""Initial values that follow from the training examples, layer by layer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils.hooks import RemovableHandle

from fragility.errors import UsageError
from fragility.numerics.network import Network

EXAMPLES = 1024
"""Most training examples, evenly spaced, that initial values follow from."""


def data_dependent(
    network: Network, parameters: Mapping[str, Tensor], examples: Callable[[], Tensor]
) -> dict[str, Tensor]:
    """Returns the parameters, those of layers with a `from_data` as they have them from examples.

    It is given what reaches the layer of the examples, (n, ...) in float64, and returns values of
    its parameters, all or some, by their names in it. Layers are asked in the order of the forward
    pass, and each hands on what it makes at the values that it gave.

    Args:
        network: the architecture.
        parameters: initial values, left as they are.
        examples: gives the training examples, shape (n, ...), where a layer asks for them; of more
            than `EXAMPLES` every k-th counts.

    Raises:
        UsageError: a layer gives what is none of its parameters.
    """
    found = dict(parameters)
    handles = [
        _asked(layer, name, found)
        for name, layer in network.module.named_modules()
        if hasattr(layer, "from_data")
    ]
    if not handles:
        return found
    inputs = examples()
    try:
        with torch.no_grad():
            network(parameters, inputs[:: -(-len(inputs) // EXAMPLES)])
    finally:
        for handle in handles:
            handle.remove()
    return found


def _asked(layer: nn.Module, name: str, found: dict[str, Tensor]) -> RemovableHandle:
    """Lets a layer note its values in `found` when examples come by, and go by them."""
    prefix = f"{name}." if name else ""
    own = {n: f"{prefix}{n}" for n, _ in layer.named_parameters()}
    asking = False

    def ask(layer: nn.Module, given: tuple[Tensor, ...], made: Tensor) -> Tensor | None:
        nonlocal asking
        if asking:
            return None
        asking = True
        inputs = given[0].double()
        values = {which: found[full].double() for which, full in own.items()}
        taken: Mapping[str, Tensor] = cast("Any", layer).from_data(inputs)
        for which, value in taken.items():
            _check(layer, which, value)
            values[which] = value
            found[own[which]] = value.to(found[own[which]])
        outputs: Tensor = functional_call(layer, values, (inputs,))
        asking = False
        return outputs.to(made)

    return layer.register_forward_hook(ask)


def _check(layer: nn.Module, name: str, value: Tensor) -> None:
    parameters = dict(layer.named_parameters())
    if name not in parameters:
        raise UsageError(
            f"`from_data` of `{type(layer).__name__}` gives `{name}`, which is none of its "
            "parameters.",
            f"They are {', '.join(f'`{one}`' for one in parameters)}.",
        )
    if value.shape != parameters[name].shape:
        raise UsageError(
            f"`from_data` of `{type(layer).__name__}` gives `{name}` in the shape "
            f"{tuple(value.shape)}, not {tuple(parameters[name].shape)}.",
            "Give values in the parameter's own shape.",
        )
