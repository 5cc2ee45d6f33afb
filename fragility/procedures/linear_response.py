"""The linear response: what an influence function claims to compute."""

from __future__ import annotations

from typing import Literal

from pydantic import NonNegativeFloat

from fragility.numerics.curvature import Curvature
from fragility.procedures._points import OneAtATime
from fragility.procedures.base import LinearResponse
from fragility.training import Training
from fragility.training.full_batch import FullBatch
from fragility.training.optimizers.lbfgs import LBFGS


class LinearizedRemoval(OneAtATime):
    """The effect of removal to first order, with the dense curvature in float64: no retraining.

    The effect is (1/n) grad f_t^T (C + damping I)^-1 grad l_i, with the penalty in C. What a score
    differs from it is the estimator's own doing (its solver, its precision, its choice of
    curvature); what retraining differs from it is not.

    Valid when: C + damping I is positive definite.
    Cost: that of the estimator `exact`, once a base model.
    Reference: Koh and Liang 2017, equation 2; Bae et al. 2022, section 4 (the linearized term).
    """

    kind: Literal["linear_response"] = "linear_response"
    curvature: Curvature = "hessian"
    """The curvature C: `gauss_newton` is that of `pbrf`."""
    damping: NonNegativeFloat = 0.0
    """Added to every eigenvalue, in the unit of the Hessian of the mean loss."""

    @property
    def linear_response(self) -> LinearResponse:
        """The curvature and its damping."""
        return LinearResponse(self.curvature, self.damping)

    def retraining(self, training: Training) -> Training:
        """Returns a training of no steps: nothing is trained."""
        return FullBatch(optimizer=LBFGS(), steps=0, dtype="float64")
