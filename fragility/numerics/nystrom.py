"""Randomized Nystroem approximation of a positive semidefinite matrix, and its damped inverse.

From the images Y = Omega C of random orthonormal rows Omega (k, P) the matrix is approximated by
Y^T (Omega Y^T)^+ Y, the best that lies in the span of Y and is nowhere larger than C. A longer
Omega that begins with a shorter one approximates no worse in any direction.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from fragility.numerics.lanczos import rounding


@dataclass(frozen=True)
class Sketch:
    """An approximation F^T F by its factor F (k, P).

    `bottom` is the lowest eigenvalue of the matrix within the span of the test rows, an upper bound
    of its lowest eigenvalue at all; `tolerance` is what rounding may take it below 0.
    """

    factor: Tensor
    bottom: float
    tolerance: float

    @property
    def semidefinite(self) -> bool:
        """Whether no negative eigenvalue shows; only then is the approximation one."""
        return self.bottom >= -self.tolerance

    @property
    def eigenvalues(self) -> Tensor:
        """Nonzero eigenvalues of the approximation, descending, (k,)."""
        values: Tensor = torch.linalg.eigvalsh(self.factor @ self.factor.T).flip(0)
        return values


@torch.no_grad()
def sketch(rows: Tensor, images: Tensor) -> Sketch:
    """Returns the approximation from orthonormal test rows and their images, both (k, P).

    Eigenvalues of the core Omega Y^T that are within rounding of 0 are left out: the inverse of
    the core would blow them up.

    Cost: 6 k^2 P operations.
    """
    core = rows @ images.T
    values, vectors = torch.linalg.eigh((core + core.T) / 2)
    norm = float(torch.linalg.eigvalsh(images @ images.T)[-1]) ** 0.5
    tolerance = rounding(norm, images)
    kept = values > tolerance
    factor = (vectors[:, kept] / values[kept].sqrt()).T @ images
    return Sketch(factor, float(values[0]), tolerance)


@torch.no_grad()
def solve_with_diagonal(factor: Tensor, diagonal: Tensor, rhs: Tensor) -> Tensor:
    """Returns (F^T F + diag d)^-1 times each row of `rhs` (T, P).

    By the identity of Sherman, Morrison and Woodbury, in the coordinates in which d is 1, where F's
    singular value decomposition leaves nothing to cancel but the identity itself.

    Args:
        factor: F, shape (k, P).
        diagonal: d, positive, shape (P,).
        rhs: right-hand sides.
    """
    root = diagonal.sqrt()
    _, singular, vectors = torch.linalg.svd(factor / root, full_matrices=False)
    power = singular.square()
    scaled = rhs / root
    within = (scaled @ vectors.T) * (power / (power + 1))
    solved: Tensor = (scaled - within @ vectors) / root
    return solved


@torch.no_grad()
def solve_dense(factor: Tensor, diagonal: Tensor, rhs: Tensor) -> Tensor:
    """Returns the same where some of the diagonal is 0, infinite where the sum is singular.

    Cost: P^2 numbers and P^3 operations.
    """
    matrix = factor.T @ factor
    matrix.diagonal().add_(diagonal)
    solved: Tensor = torch.linalg.solve_ex(matrix, rhs.T).result
    return solved.T
