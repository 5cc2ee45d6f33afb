"""Influence functions by whatever inverse fits: the dense matrix while it does, else products."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from pydantic import PositiveFloat
from torch import Tensor

from fragility.estimators._influence import Influence, Solution
from fragility.estimators.cg import CG
from fragility.estimators.exact import Exact, dense_limit
from fragility.numerics.curvature import CurvatureMatrix


class Auto(Influence):
    """Influence functions to a stated residual: `exact` while the matrix fits, then `cg`.

    Which one it was is stored: `auto_is_dense` is 1 for the dense matrix. The limit is that of
    `exact`, 11,585 parameters in float64 and 16,384 in float32.

    Valid when: the model is at a minimum of its objective and H + damping I is positive definite.
    Cost: that of `exact`, or of `cg`.
    Reference: see `exact` and `cg`.
    """

    kind: Literal["auto"] = "auto"
    tolerance: PositiveFloat = 1e-6
    """Relative residual at which conjugate gradients stop."""

    def solve(self, matrix: CurvatureMatrix, damping: float, rhs: Tensor) -> Solution:
        """Returns the solutions of the method that fits."""
        # What departs before and after the solution is done here.
        own = ("kind", "departures")
        shared = {name: getattr(self, name) for name in Influence.model_fields if name not in own}
        dense = matrix.size <= dense_limit(rhs.dtype)
        chosen: Influence = Exact(**shared) if dense else CG(**shared, tolerance=self.tolerance)
        solution = chosen.solve(matrix, damping, rhs)
        facts = {"auto_is_dense": float(dense), **solution.diagnostics}
        return replace(solution, diagnostics=facts)
