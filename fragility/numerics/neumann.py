"""Damped Neumann series: x_{j+1} = x_j + (b - A_j x_j) / scale, and when it diverges.

With one positive definite matrix A = A_j the error shrinks by |1 - lambda / scale| along every
eigenvector: it converges where scale is more than half the largest eigenvalue, and the residual
falls at every step. With matrices A_j drawn independently around A, the expectation of x_j is the
iterate of A itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from fragility.numerics.block_cg import Rows
from fragility.numerics.lanczos import rounding

STRAY = 10.0
"""How far above its bound the norm of a stochastic iterate may lie by chance."""


@dataclass(frozen=True)
class Neumann:
    """Iterates (T, P) after `steps` steps; `growing` (T,) says which of them had to be given up."""

    vectors: Tensor
    steps: int
    growing: Tensor

    @property
    def diverged(self) -> bool:
        """Whether the recursion ended early."""
        return bool(self.growing.any())


@torch.no_grad()
def neumann(product: Rows, rhs: Tensor, scale: float, depth: int) -> tuple[Neumann, Tensor]:
    """Returns the iterates for the rows of `rhs` (T, P), and their residuals b - A x.

    Ends at the first step that lets the norm of a residual grow. The norms |(I - A / scale)^j b|
    are convex in j on a logarithmic scale, so that one that grows once grows for ever.

    Cost: `depth` products with T vectors.
    """
    solution, residual = torch.zeros_like(rhs), rhs
    sides = before = rhs.norm(dim=1)
    for step in range(1, depth + 1):
        solution = solution + residual / scale
        residual = rhs - product(solution)
        now = residual.norm(dim=1)
        noise = rounding(1.0, rhs) * (sides + scale * solution.norm(dim=1))
        growing = ~(now <= before + noise)
        if bool(growing.any()):
            return Neumann(solution, step, growing), residual
        before = now
    return Neumann(solution, depth, torch.zeros_like(sides, dtype=torch.bool)), residual


@torch.no_grad()
def stochastic_neumann(products: Iterable[Rows], rhs: Tensor, scale: float) -> Neumann:
    """Returns the iterates after one step with each of the matrices, for the rows of `rhs` (T, P).

    While steps contract in the mean square, the root mean square of |x_j| is at most j |b| / scale;
    a recursion that gets 10 times as far is given up.

    Cost: one product with T vectors a matrix.
    """
    solution = torch.zeros_like(rhs)
    bound = STRAY * rhs.norm(dim=1) / scale
    growing = torch.zeros_like(bound, dtype=torch.bool)
    step = 0
    for step, product in enumerate(products, start=1):
        solution = solution + (rhs - product(solution)) / scale
        growing = ~(solution.norm(dim=1) <= step * bound)
        if bool(growing.any()):
            break
    return Neumann(solution, step, growing)
