"""The eigenvalues of a symmetric matrix with weights: all of them, or as seen by random probes.

Stochastic Lanczos quadrature: for a probe z of random signs, z^T f(C) z has the mean trace f(C),
and Lanczos started at z integrates it by Gauss quadrature, whose nodes are Ritz values (Golub and
Meurant 2010; Ubaru, Chen and Saad 2017). Polynomials of degree below twice the steps are exact.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fragility.numerics.block_cg import Rows
from fragility.numerics.lanczos import Draw, krylov_space

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Eigenvalues:
    """Eigenvalues (k,) ascending of a named matrix, and how many each stands for (k,)."""

    matrix: str
    values: Array
    weights: Array


@dataclass(frozen=True)
class Quadrature:
    """Nodes and weights (probes, nodes); the weights of each probe sum to the matrix's size.

    `complete` where the nodes are all eigenvalues, each of weight 1, in one row.
    """

    nodes: Array
    weights: Array
    complete: bool

    def trace(self, function: Callable[[Array], Array]) -> tuple[float, float | None]:
        """Returns the trace of a function of the matrix, and its standard error over probes.

        The error is 0 where all eigenvalues are known, None where a single probe cannot tell.
        """
        values = (self.weights * function(self.nodes)).sum(axis=1)
        if self.complete:
            return float(values[0]), 0.0
        if len(values) < 2:
            return float(values[0]), None
        return float(values.mean()), float(values.std(ddof=1) / np.sqrt(len(values)))

    def flat(self) -> tuple[Array, Array]:
        """Returns all nodes ascending, with weights that sum to the matrix's size."""
        order = np.argsort(self.nodes, axis=None, kind="stable")
        return self.nodes.ravel()[order], self.weights.ravel()[order] / len(self.nodes)


def complete_quadrature(eigenvalues: Array) -> Quadrature:
    """Returns the quadrature that holds every eigenvalue (P,)."""
    nodes = eigenvalues.reshape(1, -1)
    return Quadrature(nodes, np.ones_like(nodes), complete=True)


def random_signs(seed: int, like: Tensor) -> Draw:
    """Returns a source of vectors of -1 and 1 of the length and kind of `like` (P,)."""
    generator = torch.Generator().manual_seed(seed)

    def draw() -> Tensor:
        bits = torch.randint(0, 2, (len(like),), generator=generator)
        return (2 * bits - 1).to(like)

    return draw


@torch.no_grad()
def lanczos_quadrature(product: Rows, size: int, probes: int, steps: int, draw: Draw) -> Quadrature:
    """Returns the quadrature of some probes.

    Args:
        product: the matrix, applied to rows.
        size: the matrix's size P.
        probes: how many random vectors; the error falls with the root of their number.
        steps: Lanczos steps of each, at most P.
        draw: the probes.

    Raises:
        MethodFailure: the matrix is not finite.

    Cost: `probes * steps` products with one vector, `steps` vectors of P numbers.
    """
    nodes, weights = [], []
    for _ in range(probes):
        space = krylov_space(product, min(steps, size), draw)
        values, vectors = torch.linalg.eigh(space.matrix)
        nodes.append(values.cpu().numpy())
        weights.append(size * vectors[0].square().cpu().numpy())
    return Quadrature(np.stack(nodes), np.stack(weights), complete=False)
