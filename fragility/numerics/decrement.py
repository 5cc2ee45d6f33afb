"""Newton's step at a trained model, and how far it is from the optimum by it.

With g the gradient and C the curvature of one and the same objective, the step is -C^-1 g, and the
Newton decrement sqrt(g^T C^-1 g) (Boyd and Vandenberghe 2004, section 9.5.1). Half its square is by
how much the objective falls to its optimum: exactly where it is quadratic.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from fragility.numerics.block_cg import Rows
from fragility.numerics.inverse import norm_ratios
from fragility.numerics.lanczos import Draw, krylov_space, normal_vectors, rounding


@dataclass(frozen=True)
class NewtonStep:
    """A step by its measures.

    `square` is g^T C^-1 g and `norm` the step's length, in the directions in which the curvature is
    not 0 to rounding; `outside` is the norm of what the gradient has in the others. `lowest` is the
    lowest eigenvalue (of the matrix, or within the Krylov space), and `negative` whether it is so
    beyond rounding. `residual` is |g - C x| / |g|.
    """

    square: float
    norm: float
    outside: float
    lowest: float
    negative: bool
    residual: float


@torch.no_grad()
def dense_step(matrix: Tensor, gradient: Tensor, values: Tensor, tolerance: float) -> NewtonStep:
    """Returns the step with the matrix (P, P) written out and its eigenvalues (P,) ascending.

    A positive definite matrix is factored by Cholesky; any other is diagonalized. Eigenvalues
    within `tolerance` of 0 are 0 to rounding.
    """
    lowest = float(values[0])
    if lowest > tolerance:
        factor, failed = torch.linalg.cholesky_ex(matrix)
        if int(failed) == 0:
            step = torch.cholesky_solve(gradient.unsqueeze(1), factor).squeeze(1)
            left = (gradient - matrix @ step).unsqueeze(0)
            residual = float(norm_ratios(left, gradient.unsqueeze(0)))
            square = float(gradient @ step)
            return NewtonStep(square, float(step.norm()), 0.0, lowest, False, residual)
    values, vectors = torch.linalg.eigh(matrix)
    return _within(values, vectors.T @ gradient, lowest, tolerance)


def _within(values: Tensor, parts: Tensor, lowest: float, tolerance: float) -> NewtonStep:
    """Returns the step from eigenvalues and the gradient's parts along their eigenvectors."""
    kept = values.abs() > tolerance
    step = parts[kept] / values[kept]
    outside = float(parts[~kept].norm())
    return NewtonStep(
        float(parts[kept] @ step), float(step.norm()), outside, lowest, lowest < -tolerance, 0.0
    )


def _first(vector: Tensor) -> Draw:
    """Returns a source of a vector, and of random ones after it."""

    def series() -> Iterator[Tensor]:
        yield vector
        draw = normal_vectors(0, vector)
        while True:
            yield draw()

    return series().__next__


@torch.no_grad()
def krylov_step(product: Rows, gradient: Tensor, dimension: int) -> NewtonStep:
    """Returns the step within the Krylov space of the gradient, where CG would arrive.

    Args:
        product: the matrix, applied to rows.
        gradient: shape (P,).
        dimension: of the space; P at most.

    Raises:
        MethodFailure: the matrix is not finite.

    Cost: `dimension` + 1 products with one vector, and as many vectors of P numbers.
    """
    size = float(gradient.norm())
    if size == 0:
        return NewtonStep(0.0, 0.0, 0.0, 0.0, False, 0.0)
    known = min(dimension, len(gradient))
    longer = min(known + 1, len(gradient))
    space = krylov_space(product, longer, _first(gradient))
    inner = space.matrix[:known, :known]
    coupling = float(space.matrix[known - 1, known]) if longer > known else 0.0
    values, vectors = torch.linalg.eigh(inner)
    tolerance = rounding(float(values.abs().max()), gradient)
    parts = size * vectors[0]
    kept = values.abs() > tolerance
    last = float(vectors[-1, kept] @ (parts[kept] / values[kept]))
    found = _within(values, parts, float(values[0]), tolerance)
    return replace(found, residual=coupling * abs(last) / size)
