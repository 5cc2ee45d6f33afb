"""What the affine layers of a network see and are told in one pass: inputs and output gradients.

A layer that maps rows of inputs a to rows of outputs a W^T + b has, for one example, the weight
gradient sum_p delta_p a_p^T over its positions p: one position for a dense layer, every place of
the output image for a convolution. From the rows everything of first order follows without a
gradient of its own for each example: gradients, their products, Kronecker factors.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call

from fragility.numerics.network import Layout, Network


@dataclass(frozen=True)
class AffineRecord:
    """One affine layer in one pass over n examples.

    `inputs` (n, positions, d), a constant 1 as the last of them where the bias is asked for;
    `deltas` (n, positions, k), gradients of each example's scalar with respect to the outputs.
    """

    name: str
    inputs: Tensor
    deltas: Tensor

    def gradients(self) -> Tensor:
        """Returns the gradient of each example, (n, k, d), the bias as the last column."""
        return self.deltas.transpose(1, 2) @ self.inputs

    def products(self, directions: Tensor) -> Tensor:
        """Returns the product of each example's gradient with T directions (T, k, d): (T, n)."""
        if self.inputs.shape[1] > 1:
            return directions.flatten(1) @ self.gradients().flatten(1).T
        # One position: the gradient is an outer product, which need not be written out.
        towards = self.inputs.squeeze(1) @ directions.transpose(1, 2)
        return (towards * self.deltas.squeeze(1)).sum(dim=2)

    def combined(self, weights: Tensor) -> Tensor:
        """Returns sums of the examples' gradients with weights (T, n): (T, k, d)."""
        if self.inputs.shape[1] > 1:
            return (weights @ self.gradients().flatten(1)).reshape(-1, *self.shape)
        weighted = weights.unsqueeze(2) * self.deltas.squeeze(1)
        return weighted.transpose(1, 2) @ self.inputs.squeeze(1)

    @property
    def shape(self) -> tuple[int, int]:
        """Outputs k, and inputs d with the constant."""
        return self.deltas.shape[2], self.inputs.shape[2]


def affine_layers(network: Network) -> dict[str, nn.Linear | nn.Conv2d]:
    """Returns the layers that the tape knows, by name."""
    return {
        name: module
        for name, module in network.module.named_modules()
        if isinstance(module, nn.Linear) or (isinstance(module, nn.Conv2d) and _plain(module))
    }


def _plain(module: nn.Conv2d) -> bool:
    return module.groups == 1 and module.padding_mode == "zeros" and module.padding != "same"


def covers(network: Network, layout: Layout) -> bool:
    """Whether some parameters are weights, with or without biases, of layers the tape knows."""
    known = affine_layers(network)
    owners = {name.rpartition(".")[0] for name in layout.names}
    return all(owner in known and f"{owner}.weight" in layout.names for owner in owners)


class Tape:
    """One pass of a network over a block of examples, with the affine layers' inputs noted.

    Only the layers that hold one of the parameters of `layout` are noted.
    """

    def __init__(
        self, network: Network, parameters: Mapping[str, Tensor], layout: Layout, inputs: Tensor
    ) -> None:
        self.layout = layout
        owners = {name.rpartition(".")[0] for name in layout.names}
        self._layers = {n: m for n, m in affine_layers(network).items() if n in owners}
        self._seen: dict[str, list[tuple[Tensor, Tensor]]] = {name: [] for name in self._layers}
        self._rows: list[Tensor] | None = None
        in_place = any(getattr(module, "inplace", False) for module in network.module.modules())

        def noted(name: str) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], Tensor | None]:
            def hook(module: nn.Module, given: tuple[Tensor, ...], output: Tensor) -> Tensor | None:
                self._seen[name].append((given[0].detach(), output))
                # An activation in place would overwrite what is differentiated.
                return output.clone() if in_place else None

            return hook

        watched = {
            name: value.detach().requires_grad_(name in layout.names)
            for name, value in parameters.items()
        }
        handles = [layer.register_forward_hook(noted(n)) for n, layer in self._layers.items()]
        try:
            with torch.enable_grad():
                self.outputs: Tensor = functional_call(network.module, watched, (inputs,))
        finally:
            for handle in handles:
                handle.remove()

    def records(self, scalars: Tensor, *, retain: bool = False) -> list[AffineRecord]:
        """Returns the records of the examples' scalars (n,), which follow from `outputs`.

        With `retain` the pass can be asked again, for other scalars: the records' inputs are then
        the same tensors, in the same order.
        """
        places = [(name, *seen) for name, passes in self._seen.items() for seen in passes]
        if self._rows is None:
            self._rows = [
                _rows(self._layers[name], f"{name}.bias" in self.layout.names, given)
                for name, given, _ in places
            ]
        with torch.enable_grad():
            total = scalars.sum()
        deltas = torch.autograd.grad(
            total, [output for _, _, output in places], retain_graph=retain
        )
        return [
            AffineRecord(name, rows, _by_position(self._layers[name], delta))
            for (name, _, _), rows, delta in zip(places, self._rows, deltas, strict=True)
        ]


def _rows(layer: nn.Linear | nn.Conv2d, with_bias: bool, inputs: Tensor) -> Tensor:
    """Returns what a layer sees at each position, (n, positions, d)."""
    if isinstance(layer, nn.Conv2d):
        rows = nn.functional.unfold(
            inputs,
            layer.kernel_size,
            dilation=layer.dilation,
            padding=layer.padding,  # type: ignore[arg-type]
            stride=layer.stride,
        ).transpose(1, 2)
    else:
        rows = inputs.reshape(len(inputs), -1, inputs.shape[-1])
    if with_bias:
        rows = torch.cat([rows, rows.new_ones(*rows.shape[:2], 1)], dim=2)
    return rows


def _by_position(layer: nn.Linear | nn.Conv2d, deltas: Tensor) -> Tensor:
    """Returns gradients of a layer's outputs at each position, (n, positions, k)."""
    if isinstance(layer, nn.Conv2d):
        return deltas.flatten(2).transpose(1, 2)
    return deltas.reshape(len(deltas), -1, deltas.shape[-1])
