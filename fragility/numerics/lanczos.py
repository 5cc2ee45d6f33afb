"""Krylov spaces of a symmetric matrix by Lanczos, kept orthogonal, and its eigenvalues there.

The matrix enters by products alone. A space that closes before it has the dimension asked for,
because the matrix has equal eigenvalues or none of the rest, goes on from a new random vector: the
full dimension then holds every eigenvector, however often its eigenvalue repeats.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from fragility.errors import MethodFailure
from fragility.numerics.block_cg import Rows

Draw = Callable[[], Tensor]
"""Gives the next random vector (P,)."""


@dataclass(frozen=True)
class KrylovSpace:
    """Orthonormal rows (k, P), and the matrix within their span, (k, k) and tridiagonal."""

    basis: Tensor
    matrix: Tensor


@dataclass(frozen=True)
class RitzPairs:
    """Approximate eigenvalues (k,) and their orthonormal eigenvectors, the rows of (k, P)."""

    values: Tensor
    vectors: Tensor


def normal_vectors(seed: int, like: Tensor) -> Draw:
    """Returns a source of standard normal vectors of the length and kind of `like` (P,).

    A longer series begins with a shorter one, to the bit.
    """
    generator = torch.Generator().manual_seed(seed)

    def draw() -> Tensor:
        return torch.randn(len(like), generator=generator, dtype=like.dtype).to(like.device)

    return draw


@torch.no_grad()
def krylov_space(product: Rows, dimension: int, draw: Draw) -> KrylovSpace:
    """Returns the Krylov space of a symmetric matrix and a random vector.

    Every new vector is made orthogonal to all others, twice: without that, rounding brings found
    eigenvectors in again and again.

    Args:
        product: the matrix, applied to rows.
        dimension: at most the matrix's size.
        draw: the starting vector, and one more whenever the space closes.

    Raises:
        MethodFailure: the matrix is not finite.

    Cost: `dimension` products with one vector, and 8 P operations for each pair of its vectors.
    """
    direction = draw()
    direction = direction / direction.norm()
    basis = direction.new_empty(dimension, len(direction))
    matrix = direction.new_zeros(dimension, dimension)
    largest = 0.0
    for k in range(dimension):
        basis[k] = direction
        moved = product(direction.unsqueeze(0))[0]
        matrix[k, k] = direction @ moved
        size = float(moved.norm())
        if not size < float("inf"):
            raise MethodFailure(
                "the curvature is not finite: the trained model has diverged.",
                "Lower the learning rate, or add weight decay.",
            )
        if k + 1 == dimension:
            break
        largest = max(largest, size)
        left = orthogonal(moved, basis[: k + 1])
        length = left.norm()
        if float(length) <= rounding(largest, left):
            left, length = orthogonal(draw(), basis[: k + 1]), length.new_zeros(())
        matrix[k, k + 1] = matrix[k + 1, k] = length
        direction = left / left.norm()
    return KrylovSpace(basis, matrix)


def orthogonal(vector: Tensor, basis: Tensor) -> Tensor:
    """Returns the part of a vector (P,) that is orthogonal to orthonormal rows (k, P)."""
    for _ in range(2):
        vector = vector - (basis @ vector) @ basis
    return vector


def rounding(size: float, like: Tensor) -> float:
    """Returns the rounding error to expect in products with a matrix of spectral norm `size`."""
    root: float = like.shape[-1] ** 0.5
    return 10 * root * torch.finfo(like.dtype).eps * size


@torch.no_grad()
def ritz_values(space: KrylovSpace) -> Tensor:
    """Returns the matrix's eigenvalues within the space, ascending, (k,).

    They lie between the matrix's lowest and highest eigenvalue, and come near these ends first.
    """
    values: Tensor = torch.linalg.eigvalsh(space.matrix)
    return values


@torch.no_grad()
def ritz_pairs(space: KrylovSpace, count: int) -> RitzPairs:
    """Returns the `count` pairs of largest magnitude, largest first."""
    values, rotation = torch.linalg.eigh(space.matrix)
    kept = values.abs().argsort(descending=True)[:count]
    return RitzPairs(values[kept], rotation[:, kept].T @ space.basis)
