"""Curvature by automatic differentiation alone: for networks that are no chain of layers."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.func import jacrev, vmap

from fragility.numerics.gradients import block_rows
from fragility.numerics.network import Layout
from fragility.numerics.trained import TrainedModel


def products_by_autodiff(
    model: TrainedModel,
    layout: Layout,
    vectors: Tensor,
    inputs: Tensor,
    targets: Tensor,
    *,
    gauss_newton: bool,
) -> Tensor:
    """Returns the curvature of the summed losses of a block of examples times T vectors (T, P).

    One pass builds the graph of the gradient, and one more takes all vectors back through it.
    """
    with torch.enable_grad():
        point = model.vector(layout).detach().requires_grad_()
        outputs = model.network({**model.parameters, **layout.unflatten(point)}, inputs)
        if gauss_newton:
            return _gauss_newton_products(model, outputs, point, vectors)
        losses = model.loss.per_example(outputs, targets).sum()
        (gradient,) = torch.autograd.grad(losses, point, create_graph=True)
        (rows,) = torch.autograd.grad(gradient, point, vectors, is_grads_batched=True)
    return rows


def _gauss_newton_products(
    model: TrainedModel, outputs: Tensor, point: Tensor, vectors: Tensor
) -> Tensor:
    # J v is the gradient of <J^T u, v> in u: two backward passes make a forward one.
    along = torch.zeros_like(outputs).requires_grad_()
    (pulled,) = torch.autograd.grad(outputs, point, along, create_graph=True)
    curvature = model.loss.output_curvature(outputs.detach())
    rows = []
    for vector in vectors:
        (moving,) = torch.autograd.grad(pulled, along, vector, retain_graph=True)
        back = torch.einsum("ni,nij->nj", moving, curvature)
        rows.append(torch.autograd.grad(outputs, point, back, retain_graph=True)[0])
    return torch.stack(rows)


def dense_gauss_newton(model: TrainedModel, layout: Layout) -> Tensor:
    """Returns the Gauss-Newton matrix (P, P) of the summed training loss, without penalty.

    G = sum_i J_i^T L_i J_i, J the Jacobian of the outputs and L the loss's Hessian in them.
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
    return total
