"""Influence functions with a multiple of the identity as curvature."""

from __future__ import annotations

from typing import Literal

from pydantic import model_validator
from torch import Tensor

from fragility.estimators._influence import Influence, Solution
from fragility.numerics.curvature import CurvatureMatrix


class Identity(Influence):
    """Influence functions whose curvature is its mean eigenvalue in every direction.

    The score is (1/n) grad f_t^T grad l_i / (m + damping), with m the mean eigenvalue of the
    curvature, its penalty included unless said otherwise: `grad_dot` in the unit of the exact
    score. For `curvature: hessian` the mean is that of its Gauss-Newton part, so that there is no
    negative curvature to treat.

    Valid when: the curvature is about the same in all directions; else the order of the scores is
        that of `grad_dot`.
    Cost: the mean eigenvalue, which takes as many gradients of every example as the model has
        outputs, and one gradient more.
    Reference: Koh and Liang 2017, equation 2, with a multiple of the identity as Hessian.
    """

    kind: Literal["identity"] = "identity"

    @model_validator(mode="after")
    def _has_no_negative_curvature(self) -> Identity:
        if self.negative_curvature != "keep":
            raise ValueError("`negative_curvature`: `identity` has none; drop the key")
        return self

    def solve(self, matrix: CurvatureMatrix, damping: float, rhs: Tensor) -> Solution:
        """Returns the right-hand sides over the damped mean eigenvalue."""
        mean = matrix.mean_eigenvalue + float(matrix.decay.mean())
        return Solution(rhs / (mean + damping), {"curvature_mean_eigenvalue": mean})
