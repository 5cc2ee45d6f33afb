"""The dense Hessian of a chain of affine layers and activations, block by block.

For weights of layers l <= m, with inputs a, output gradients g, and perturbations u added to the
layers' outputs, one example contributes (indices: W_l[i, j], W_m[p, q])

    a_l[j] a_m[q] d2L/du_l[i] du_m[p]  +  [l < m] a_l[j] g_m[p] da_m[q]/du_l[i],

so that a block of the Hessian is one or two matrix products of rows of outer products: about n P^2
operations in all, instead of the 2 P gradients of all examples that columns cost one by one. The
Gauss-Newton matrix keeps the first term, without second derivatives of the activations.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from fragility.numerics.chain import Chain
from fragility.numerics.network import Layout
from fragility.numerics.pieces import Dense, Elementwise


@dataclass(frozen=True)
class _Layer:
    """A dense layer at a block: inputs with a constant 1 (n, d), gradients g (n, k)."""

    name: str
    inputs: Tensor
    gradient: Tensor | None


def add_dense(
    total: Tensor, layout: Layout, chain: Chain, curvature: Tensor, gradient: Tensor | None
) -> None:
    """Adds a block of examples' share of the Hessian, or of the Gauss-Newton matrix, to `total`.

    Args:
        total: shape (P, P); only the upper block triangle by layers is written.
        layout: the parameters, all of dense layers of the chain.
        chain: the network, linearized at the examples (n); dense layers and activations alone.
        curvature: Hessian of each example's term in its outputs, (n, k, k).
        gradient: its gradient in the outputs (n, k), or None for the Gauss-Newton matrix.
    """
    own = None if gradient is None else chain.gradients(gradient)
    names = {name.rpartition(".")[0] for name in layout.names}
    layers = [
        (k, _Layer(name, _with_constant(piece.inputs), None if own is None else own[k]))
        for k, (name, piece) in enumerate(chain.pieces)
        if isinstance(piece, Dense) and name in names
    ]
    for place, (k, layer) in enumerate(layers):
        forward = _forward(chain, k)
        second = _second(chain, k, forward, curvature, own)
        for m, other in layers[place:]:
            block = _outer_block(layer, other, second[m])
            if layer.gradient is not None and m > k:
                block = block + _cross_block(layer, other, forward[m])
            _place(total, layout, layer.name, other.name, block)


def _with_constant(inputs: Tensor) -> Tensor:
    return torch.cat([inputs, inputs.new_ones(len(inputs), 1)], dim=1)


def _forward(chain: Chain, k: int) -> dict[int, Tensor]:
    """Returns the derivatives (n, d, k) of the inputs of each later piece in the outputs of one."""
    output = chain.pieces[k][1].output
    eye = torch.eye(output.shape[1], dtype=output.dtype, device=output.device)
    at = eye.expand(len(output), *eye.shape)
    found = {}
    for m in range(k + 1, len(chain.pieces)):
        found[m] = at
        piece = chain.pieces[m][1]
        # Pieces act on the second axis here; the perturbed coordinate is the last.
        at = piece.push(at.permute(2, 0, 1)).permute(1, 2, 0)
    found[len(chain.pieces)] = at
    return found


def _second(
    chain: Chain,
    k: int,
    forward: dict[int, Tensor],
    curvature: Tensor,
    own: list[Tensor] | None,
) -> dict[int, Tensor]:
    """Returns d2L / du_m du_k, (n, k_m, k_k), for piece k and the dense pieces after it."""
    back = curvature @ forward[len(chain.pieces)]
    found = {}
    for m in range(len(chain.pieces) - 1, k - 1, -1):
        piece = chain.pieces[m][1]
        if isinstance(piece, Dense):
            found[m] = back
        if m == k:
            break
        pulled = piece.pull(back.permute(2, 0, 1))
        if own is not None and isinstance(piece, Elementwise) and piece.curved:
            pulled = pulled + piece.bend(forward[m].permute(2, 0, 1), own[m])
        back = pulled.permute(1, 2, 0)
    return found


def _outer_block(layer: _Layer, other: _Layer, second: Tensor) -> Tensor:
    """Returns sum_n a_l[j] a_m[q] second[p, i] as (i, j, p, q)."""
    d, e = layer.inputs.shape[1], other.inputs.shape[1]
    k, h = second.shape[2], second.shape[1]
    if layer is other:
        return _symmetric_block(layer.inputs, second)
    inputs = (layer.inputs.unsqueeze(2) * other.inputs.unsqueeze(1)).flatten(1)
    block = inputs.T @ second.flatten(1)
    return block.reshape(d, e, h, k).permute(3, 0, 2, 1)


def _symmetric_block(inputs: Tensor, second: Tensor) -> Tensor:
    """Returns the same of one layer, where both factors are symmetric: a quarter of the work."""
    d, k = inputs.shape[1], second.shape[1]
    j, q = torch.triu_indices(d, d, device=inputs.device)
    i, p = torch.triu_indices(k, k, device=inputs.device)
    block = (inputs[:, j] * inputs[:, q]).T @ second[:, i, p]
    at_inputs = _symmetric_places(d, j, q)
    at_outputs = _symmetric_places(k, i, p)
    return block[at_inputs][:, at_outputs].reshape(d, d, k, k).permute(2, 0, 3, 1)


def _symmetric_places(size: int, rows: Tensor, columns: Tensor) -> Tensor:
    """Returns where each entry of a symmetric matrix stands among those of its upper triangle."""
    places = torch.empty(size, size, dtype=torch.long, device=rows.device)
    count = torch.arange(len(rows), device=rows.device)
    places[rows, columns] = count
    places[columns, rows] = count
    return places.flatten()


def _cross_block(layer: _Layer, other: _Layer, forward: Tensor) -> Tensor:
    """Returns sum_n a_l[j] g_m[p] da_m[q]/du_l[i] as (i, j, p, q); a constant input stays."""
    assert other.gradient is not None
    left = (layer.inputs.unsqueeze(2) * other.gradient.unsqueeze(1)).flatten(1)
    d, h = layer.inputs.shape[1], other.gradient.shape[1]
    e, k = forward.shape[1], forward.shape[2]
    block = (left.T @ forward.flatten(1)).reshape(d, h, e, k).permute(3, 0, 1, 2)
    return torch.nn.functional.pad(block, (0, 1))


def _place(total: Tensor, layout: Layout, name: str, other: str, block: Tensor) -> None:
    """Adds a block (k, d, h, e), biases as last columns, where the layout has its parameters."""
    places = _places(layout)
    for row, from_row in _parts(name, layout):
        for column, from_column in _parts(other, layout):
            part = block[:, from_row, :, :][..., from_column]
            height, width = places[row], places[column]
            total[height, width] += part.flatten(2).flatten(0, 1)


def _places(layout: Layout) -> dict[str, slice]:
    found, start = {}, 0
    for name, size in zip(layout.names, layout.sizes, strict=True):
        found[name] = slice(start, start + size)
        start += size
    return found


def _parts(layer: str, layout: Layout) -> list[tuple[str, slice]]:
    parts = [(f"{layer}.weight", slice(0, -1)), (f"{layer}.bias", slice(-1, None))]
    return [part for part in parts if part[0] in layout.names]
