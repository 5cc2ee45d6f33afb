"""The proximal Bregman response."""

from __future__ import annotations

from typing import Literal

from pydantic import PositiveFloat

from fragility.procedures._optimum import Optimum
from fragility.procedures.base import Proximity


class PBRF(Optimum):
    """The question that damped Gauss-Newton influence answers: the proximal Bregman response.

    The objective is (1/n) sum_i D(h(theta, x_i), h(base, x_i)) - (1/n) l(z, theta)
    + (damping/2) |theta - base|^2, where D is the Bregman divergence of the loss in the outputs,
    (for cross-entropy the relative entropy of the predictions), and z the removed example; a
    penalty enters by its divergence too, which adds its strength to the damping. The base model is
    the optimum of everything but the removed example's term, wherever its training ended: the
    placebo does not move.

    Valid when: always; it is defined for models that have not converged and are not convex.
    Cost: for every point some ten to a few hundred gradients of all examples, in float64.
    Reference: Bae et al. 2022, equation 6; Grosse et al. 2023, section 2.1.1.
    """

    kind: Literal["pbrf"] = "pbrf"
    damping: PositiveFloat
    """Strength of the proximity, in the unit of the Hessian of the mean loss."""

    @property
    def proximity(self) -> Proximity:
        """The pull towards the base model."""
        return Proximity(self.damping, bregman=True)
