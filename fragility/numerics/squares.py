"""Weighted squares of single examples' gradients, without the gradients."""

from __future__ import annotations

import torch
from torch import Tensor

from fragility.numerics.gradients import (
    Scalars,
    example_blocks,
    layer_directions,
    per_example_gradients,
)
from fragility.numerics.network import Layout
from fragility.numerics.tape import AffineRecord, Tape, covers
from fragility.numerics.trained import TrainedModel


def square_products(
    model: TrainedModel, layout: Layout, weights: Tensor, scalars: Scalars | None = None
) -> Tensor:
    """Returns sum_p w_p g_ip^2 of every training example's gradient, (T, n).

    Args:
        model: the model and its training examples.
        layout: the parameters.
        weights: shape (T, P); ones for the squared lengths of the gradients.
        scalars: what of each example is differentiated; the loss, unless said.
    """
    parts = [
        block_square_products(model, layout, weights, x, y, scalars or model.loss.per_example)
        for x, y in example_blocks(model, layout, len(weights))
    ]
    return torch.cat(parts, dim=1)


def block_square_products(
    model: TrainedModel,
    layout: Layout,
    weights: Tensor,
    inputs: Tensor,
    targets: Tensor,
    scalars: Scalars,
) -> Tensor:
    """Returns sum_p w_p g_ip^2 of some examples at once, (T, examples)."""
    if covers(model.network, layout):
        tape = Tape(model.network, model.parameters, layout, inputs)
        with torch.enable_grad():
            values = scalars(tape.outputs, targets)
        records = tape.records(values)
        # A layer that is applied twice has a sum of two gradients, whose square has a mixed term.
        if len({record.name for record in records}) == len(records):
            parts = [
                _of_layer(record, layer_directions(layout, record.name, weights))
                for record in records
            ]
            return torch.stack(parts).sum(dim=0)
    gradients = per_example_gradients(model, layout, inputs, targets, scalars)
    return weights @ gradients.square().T


def _of_layer(record: AffineRecord, weights: Tensor) -> Tensor:
    if record.inputs.shape[1] > 1:
        return weights.flatten(1) @ record.gradients().flatten(1).square().T
    # One position: the square of an outer product is the outer product of the squares.
    return AffineRecord(record.name, record.inputs.square(), record.deltas.square()).products(
        weights
    )
