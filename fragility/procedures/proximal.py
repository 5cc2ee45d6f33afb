"""The optimum without a point, held near the base model."""

from __future__ import annotations

from typing import Literal

from pydantic import PositiveFloat

from fragility.procedures._optimum import Optimum
from fragility.procedures.base import Proximity


class Proximal(Optimum):
    """Removes one point at a time and goes to the optimum of a proximal objective.

    The objective is J without the point, its weight being zero, plus (damping/2) |theta - base|^2:
    what damping means for a truth. Its placebo moves too where the base model was not at its
    optimum. Beside `pbrf` it shows what that costs (non-convergence), beside a warm retraining what
    the proximity does.

    Valid when: the damping exceeds the size of negative eigenvalues near the base model; else the
        optimum that is found may be one of several.
    Cost: for every point some ten to a few hundred gradients of all examples, in float64.
    Reference: Bae et al. 2022, section 4.
    """

    kind: Literal["proximal"] = "proximal"
    damping: PositiveFloat
    """Strength of the proximity, in the unit of the Hessian of the mean loss."""

    @property
    def proximity(self) -> Proximity:
        """The pull towards the base model."""
        return Proximity(self.damping, bregman=False)
