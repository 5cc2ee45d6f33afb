"""First and second derivatives of the objective, in blocks that respect a memory limit."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.func import grad, jacrev, vmap

from fragility.numerics.network import Layout, activations
from fragility.numerics.trained import TrainedModel

Curvature = Literal["hessian", "gauss_newton"]

BLOCK_BYTES = 256 * 2**20
"""Largest intermediate that one block of a computation may hold."""


def per_example_gradients(
    model: TrainedModel, layout: Layout, inputs: Tensor, targets: Tensor
) -> Tensor:
    """Returns the gradient of each example's loss, without penalty, shape (n, P)."""
    flat = model.vector(layout)

    def loss_of_one(point: Tensor, one: Tensor, target: Tensor) -> Tensor:
        return model.losses_at(layout, point, one.unsqueeze(0), target.unsqueeze(0)).squeeze(0)

    gradients: Tensor = vmap(grad(loss_of_one), in_dims=(None, 0, 0))(flat, inputs, targets)
    return gradients


def block_rows(model: TrainedModel, floats_per_row: int) -> int:
    """Returns how many rows of `floats_per_row` numbers a block may hold, at least 1."""
    size = next(iter(model.parameters.values())).element_size()
    return max(1, BLOCK_BYTES // max(1, floats_per_row * size))


def hessian_product(model: TrainedModel, layout: Layout, tangent: Tensor) -> Tensor:
    """Returns the Hessian of the mean training loss, without penalty, times a vector (P,).

    Reverse over reverse: the gradient of the slope along `tangent`.
    """

    def mean_loss(point: Tensor) -> Tensor:
        return model.losses_at(layout, point, model.inputs, model.targets).mean()

    def slope(point: Tensor) -> Tensor:
        result: Tensor = grad(mean_loss)(point) @ tangent
        return result

    product: Tensor = grad(slope)(model.vector(layout))
    return product


def hessian(model: TrainedModel, layout: Layout) -> Tensor:
    """Returns the Hessian (P, P) of the mean training loss, without penalty.

    A block of columns at a time. Cost: about 2 P gradients of all examples.
    """
    flat = model.vector(layout)

    def column(tangent: Tensor) -> Tensor:
        return hessian_product(model, layout, tangent)

    identity = torch.eye(layout.size, dtype=flat.dtype, device=flat.device)
    rows = block_rows(
        model, model.n * 4 * activations(model.network, tuple(model.inputs.shape[1:]))
    )
    columns: Tensor = vmap(column, chunk_size=rows)(identity)
    return (columns + columns.T) / 2


def gauss_newton(model: TrainedModel, layout: Layout) -> Tensor:
    """Returns the Gauss-Newton matrix (P, P) of the mean training loss, without penalty.

    G = (1/n) sum_i J_i^T L_i J_i, J the Jacobian of the outputs and L the loss's Hessian in them.
    """
    flat = model.vector(layout)

    def outputs_of_one(point: Tensor, one: Tensor) -> Tensor:
        parameters = {**model.parameters, **layout.unflatten(point)}
        return model.network(parameters, one.unsqueeze(0)).squeeze(0)

    total = flat.new_zeros(layout.size, layout.size)
    outputs = model.network(model.parameters, model.inputs[:1]).shape[-1]
    for inputs, _ in model.train_blocks(block_rows(model, 3 * outputs * layout.size)):
        jacobian = vmap(jacrev(outputs_of_one), in_dims=(None, 0))(flat, inputs)
        curvature = model.loss.output_curvature(model.network(model.parameters, inputs))
        weighted = curvature @ jacobian
        total += jacobian.flatten(0, 1).T @ weighted.flatten(0, 1)
    return total / model.n


def curvature_matrix(
    model: TrainedModel, layout: Layout, curvature: Curvature, includes_regularization: bool
) -> Tensor:
    """Returns the Hessian or Gauss-Newton matrix, with the penalty's diagonal if asked for."""
    matrix = hessian(model, layout) if curvature == "hessian" else gauss_newton(model, layout)
    if includes_regularization:
        matrix = matrix + torch.diag(model.decay_vector(layout))
    return matrix
