"""Influence functions by block conjugate gradients."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import PositiveFloat, PositiveInt, model_validator
from torch import Tensor

from fragility.errors import MethodFailure
from fragility.estimators._influence import Influence, Solution
from fragility.numerics.block_cg import Rows, block_conjugate_gradients
from fragility.numerics.curvature import CurvatureMatrix
from fragility.numerics.kronecker import KroneckerLayer, kronecker_curvature
from fragility.numerics.tape import covers

BLOCK = 64
"""Most test points that are solved for together."""

_FLOOR = 1e-3


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
    Reference: O'Leary 1980; Dubrulle 2001; Martens 2010 for products with the curvature.
    """

    kind: Literal["cg"] = "cg"
    tolerance: PositiveFloat = 1e-6
    """Relative residual |b - (H + damping I) x| / |b| at which a test point is solved."""
    rounds: PositiveInt = 1000
    """Most products with a block of test points."""
    preconditioner: Literal["kfac", "none"] = "kfac"
    """Approximate inverse that shortens the way: K-FAC where all parameters are those of dense
    layers and convolutions (elsewhere none), or none."""

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

        precondition = self._preconditioner(matrix, damping)
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

    def _preconditioner(self, matrix: CurvatureMatrix, damping: float) -> Rows | None:
        model, layout = matrix.model, matrix.layout
        if self.preconditioner == "none" or not covers(model.network, layout):
            return None
        factors = kronecker_curvature(model, layout, "expected", 0, corrected=False)

        def share(layer: KroneckerLayer) -> float:
            decay = layer.decay if matrix.includes_regularization else 0.0
            # Flat directions must not be blown up without bound.
            return damping + decay + _FLOOR * float(layer.values.mean())

        return lambda rows: factors.solve(rows, share)
