"""Preconditioned conjugate gradients for a stack of symmetric systems, each until it is solved."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Product = Callable[[Tensor, Tensor], Tensor]
"""`product(models, tangent)`: the matrices of some `models` (k,) times `tangent` (k, P)."""


def conjugate_gradients(
    product: Product,
    precondition: Callable[[Tensor], Tensor],
    rhs: Tensor,
    tolerance: Tensor,
    limit: int,
) -> tuple[Tensor, int]:
    """Returns approximate solutions (K, P) of K systems, and the number of products of one model.

    A system leaves once the norm of its residual is at most its `tolerance` (K,), when curvature
    along its direction is no longer positive (rounding, or a singular matrix), or after `limit`
    rounds. Every iterate of a positive definite system descends: rhs^T x > 0.

    Args:
        product: the matrices.
        precondition: an approximate inverse, the same for all systems.
        rhs: right-hand sides (K, P).
        tolerance: norm of the residual at which each is solved (K,).
        limit: largest number of rounds.
    """
    solution = torch.zeros_like(rhs)
    models = torch.arange(len(rhs), device=rhs.device)
    residual = rhs
    direction = torch.zeros_like(rhs)
    x, before = solution, rhs.new_ones(len(rhs))
    products = 0
    for count in range(limit):
        towards = precondition(residual)
        power = (residual * towards).sum(dim=1)
        beta = power / before if count else torch.zeros_like(power)
        direction = torch.addcmul(towards, beta.unsqueeze(1), direction)
        bent = product(models, direction)
        products += len(models)
        curvature = (direction * bent).sum(dim=1)
        good = (curvature > 0) & (power > 0) & torch.isfinite(curvature)
        length = torch.where(good, power / torch.where(good, curvature, 1), 0).unsqueeze(1)
        x = torch.addcmul(x, length, direction)
        residual = torch.addcmul(residual, length, bent, value=-1)
        before = power
        going = good & (residual.norm(dim=1) > tolerance[models])
        if not bool(going.all()):
            solution[models] = x
            keep = going.nonzero().squeeze(1)
            if len(keep) == 0:
                return solution, products
            models, x, residual = models[keep], x[keep], residual[keep]
            direction, before = direction[keep], before[keep]
    solution[models] = x
    return solution, products
