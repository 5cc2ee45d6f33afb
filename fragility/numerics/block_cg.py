"""Block conjugate gradients: one symmetric matrix, many right-hand sides, one Krylov space.

All right-hand sides search the space that they span together, which for T of them grows T times as
fast as that of one: the number of products falls accordingly (O'Leary 1980). Residuals are kept as
a basis that is orthonormal in the preconditioner's inner product times small coefficients, in the
manner of Dubrulle 2001, so that right-hand sides that become dependent shrink the block instead of
breaking it down.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from fragility.numerics.inverse import norm_ratios

Rows = Callable[[Tensor], Tensor]
"""A symmetric linear map of the rows of a matrix (T, P)."""

_REFINEMENTS = 4


@dataclass(frozen=True)
class BlockSolution:
    """Approximate solutions (T, P).

    `residuals` (T,) are |b - A x| / |b|, computed from the solution and not carried along;
    `products` counts products of A with a vector, `rounds` those with a block;
    `negative_curvature`: a direction d with d A d <= 0 was met, so that A is not positive definite.
    """

    vectors: Tensor
    residuals: Tensor
    products: int
    rounds: int
    negative_curvature: bool


@torch.no_grad()
def block_conjugate_gradients(
    product: Rows, rhs: Tensor, tolerance: float, limit: int, precondition: Rows | None = None
) -> BlockSolution:
    """Returns solutions of A x = b for each row b of `rhs` (T, P).

    Ends once every relative residual is at most `tolerance`, after `limit` rounds, or where
    rounding stops progress. Residuals are computed anew at each end, and the iteration begins
    again from them while that helps: what is reported is true.

    Args:
        product: the matrix A.
        rhs: right-hand sides, shape (T, P).
        tolerance: relative residual at which a system is solved.
        limit: most products with a block.
        precondition: an approximate inverse of A, symmetric and positive definite.
    """
    found = torch.zeros_like(rhs)
    best = norm_ratios(rhs, rhs)
    left, products, rounds, negative = rhs, 0, 0, False
    for _ in range(_REFINEMENTS):
        open_rows = (best > tolerance).nonzero().squeeze(1)
        if len(open_rows) == 0 or rounds >= limit:
            break
        scale = rhs[open_rows].norm(dim=1, keepdim=True)
        part = _iterate(
            product, left[open_rows] / scale, tolerance / 2, limit - rounds, precondition
        )
        rounds, products = rounds + part.rounds, products + part.products
        negative = negative or part.negative_curvature
        trial = found.clone()
        trial[open_rows] += part.vectors * scale
        moved = rhs - product(trial)
        rounds, products = rounds + 1, products + len(rhs)
        residuals = norm_ratios(moved, rhs)
        better = residuals < best
        if not bool(better.any()):
            break
        found = torch.where(better.unsqueeze(1), trial, found)
        left = torch.where(better.unsqueeze(1), moved, left)
        slow = bool((residuals > 0.5 * best)[open_rows].all())
        best = torch.minimum(residuals, best)
        if slow:
            break
    return BlockSolution(found, best, products, rounds, negative)


def _iterate(
    product: Rows, rhs: Tensor, tolerance: float, limit: int, precondition: Rows | None
) -> BlockSolution:
    """Returns corrections for residuals `rhs` whose rows are to shrink to norm `tolerance`."""
    found = torch.zeros_like(rhs)
    basis, towards, coefficients = _orthonormal(rhs, precondition)
    direction = towards
    products = rounds = 0
    negative = False
    while rounds < limit and len(basis):
        bent = product(direction)
        rounds, products = rounds + 1, products + len(direction)
        curvature = direction @ bent.T
        curvature = (curvature + curvature.T) / 2
        values, vectors = torch.linalg.eigh(curvature)
        if not bool(torch.isfinite(values).all()):
            break
        if float(values[0]) <= 0:
            negative = True
            if float(values.abs().min()) <= _rounding(values):
                break
        # The step that makes the residuals orthogonal to all directions of this round.
        inverse = (vectors / values) @ vectors.T
        found = found + (coefficients @ inverse) @ direction
        fresh = basis - inverse @ bent
        basis, towards, mixing = _orthonormal(fresh, precondition)
        direction = towards + mixing.T @ direction
        coefficients = coefficients @ mixing
        if bool(((coefficients @ basis).norm(dim=1) <= tolerance).all()):
            break
    return BlockSolution(found, rhs.new_zeros(len(rhs)), products, rounds, negative)


def _orthonormal(rows: Tensor, precondition: Rows | None) -> tuple[Tensor, Tensor, Tensor]:
    """Returns Q, M Q and C with rows = C Q and Q M Q^T = I, without what is below rounding.

    The factor is found twice, because that of one pass is orthonormal to half the digits only.
    """
    coefficients: Tensor | None = None
    towards = rows
    for _ in range(2):
        towards = rows if precondition is None else precondition(rows)
        gram = rows @ towards.T
        values, vectors = torch.linalg.eigh((gram + gram.T) / 2)
        kept = values > _rounding(values)
        roots, vectors = values[kept].sqrt(), vectors[:, kept]
        into = vectors / roots
        rows, towards = into.T @ rows, into.T @ towards
        factor = vectors * roots
        coefficients = factor if coefficients is None else coefficients @ factor
    assert coefficients is not None
    return rows, towards, coefficients


def _rounding(values: Tensor) -> float:
    if len(values) == 0:
        return 0.0
    return len(values) * torch.finfo(values.dtype).eps * float(values.abs().max())
