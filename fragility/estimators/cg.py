"""Influence functions by block conjugate gradients."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import torch
from pydantic import NonNegativeInt, PositiveFloat, PositiveInt, model_validator
from torch import Tensor

from fragility.errors import MethodFailure
from fragility.estimators._influence import Influence, Solution
from fragility.identity import derive_seed
from fragility.numerics.block_cg import Rows, block_conjugate_gradients
from fragility.numerics.curvature import CurvatureMatrix
from fragility.numerics.lanczos import normal_vectors
from fragility.numerics.nystrom import sketch

BLOCK = 64
"""Most test points that are solved for together."""

_RANK = 50


class CG(Influence):
    """Influence functions by conjugate gradients, for all test points in one Krylov space.

    No matrix is written out: curvature enters by its products with the block of all test points'
    gradients, up to 64 at once, which are about as fast as those with one. The systems share the
    space that they span together, so that they take far fewer products than one by one. The true
    relative residual of every test point is stored; where it stays above `tolerance`, as it does
    where H + damping I is indefinite or the limit is reached, `cg_unsolved` counts them.

    Valid when: H + damping I is positive definite; an indefinite one may still be solved, and the
        residual tells.
    Cost: a dozen to a few hundred products with a block, of the order of the root of the condition
        number at most; each takes about 4 passes over the examples for every test point.
    Reference: O'Leary 1980; Dubrulle 2001; Frangella, Tropp and Udell 2023 (preconditioner).
    """

    kind: Literal["cg"] = "cg"
    tolerance: PositiveFloat = 1e-6
    """Relative residual |b - (H + damping I) x| / |b| at which a test point is solved."""
    rounds: PositiveInt = 1000
    """Most products with a block of test points."""
    preconditioner_rank: NonNegativeInt | None = None
    """Rank of a randomized Nystroem preconditioner made from the Gauss-Newton matrix; 0 does
    without. Null: 50 less the number of test points, because a block of many finds the leading
    directions by itself, and none where the loss, as that of a Bayesian network, has no such
    matrix."""

    @model_validator(mode="after")
    def _keeps_the_matrix_as_it_is(self) -> CG:
        if self.negative_curvature in ("clip", "absolute"):
            raise ValueError(
                f"`negative_curvature: {self.negative_curvature}` needs eigenvalues, which `cg` "
                "does not compute; use `exact` or `arnoldi`, or `keep` or `error`"
            )
        return self

    def solve(self, matrix: CurvatureMatrix, damping: float, rhs: Tensor) -> Solution:
        """Returns solutions, each with its true residual."""

        def product(rows: Tensor) -> Tensor:
            return matrix.product(rows) + damping * rows

        precondition = self._preconditioner(matrix, damping, min(len(rhs), BLOCK))
        parts = [
            block_conjugate_gradients(product, block, self.tolerance, self.rounds, precondition)
            for block in torch.split(rhs, BLOCK)
        ]
        negative = any(part.negative_curvature for part in parts)
        if negative and self.negative_curvature == "error":
            raise MethodFailure(
                "the damped curvature is not positive definite: a direction of negative curvature "
                "was met.",
                "Train longer, raise `damping`, or use `curvature: gauss_newton`.",
            )
        residuals = torch.cat([part.residuals for part in parts])
        if not bool(torch.isfinite(residuals).all()):
            raise MethodFailure(
                "the curvature is not finite: the trained model has diverged.",
                "Lower the learning rate, or add weight decay.",
            )
        return Solution(
            torch.cat([part.vectors for part in parts]),
            {
                "cg_rounds": sum(part.rounds for part in parts),
                "cg_products": sum(part.products for part in parts),
                "cg_unsolved": int((residuals > self.tolerance).sum()),
                "cg_negative_curvature": float(negative),
            },
            {"relative_residual": residuals},
        )

    def _preconditioner(self, matrix: CurvatureMatrix, damping: float, block: int) -> Rows | None:
        """Returns the damped inverse of a low-rank approximation, scaled to 1 outside of it."""
        wanted = _RANK - block if self.preconditioner_rank is None else self.preconditioner_rank
        rank = min(wanted, matrix.size)
        convex = matrix.kind != "hessian" or matrix.model.loss.convex
        if rank <= 0 or (self.preconditioner_rank is None and not convex):
            return None
        semidefinite = replace(
            matrix,
            kind="gauss_newton" if matrix.kind == "hessian" else matrix.kind,
            includes_regularization=False,
        )
        draw = normal_vectors(derive_seed(0, "cg_preconditioner"), matrix.decay)
        rows = torch.linalg.qr(torch.stack([draw() for _ in range(rank)]).T)[0].T
        factor = sketch(rows, semidefinite.product(rows)).factor
        if len(factor) == 0:
            return None
        _, singular, basis = torch.linalg.svd(factor, full_matrices=False)
        values = singular.square() + damping + float(matrix.decay.mean())
        shrink = values[-1] / values - 1
        return lambda residuals: residuals + ((residuals @ basis.T) * shrink) @ basis
