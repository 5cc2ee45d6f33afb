"""The optimum of the last layer alone."""

from __future__ import annotations

from typing import Literal

from pydantic import PositiveFloat

from fragility.procedures._points import OneAtATime
from fragility.training import Training
from fragility.training.newton import Newton


class Frozen(OneAtATime):
    """Removes one point at a time and goes to the optimum of the last layer, all else frozen.

    The loss is convex in an affine last layer, so that Newton's method finds the optimum itself:
    the only fair truth for a score of the last layer. Its placebo shows how far the base model's
    last layer was from its own optimum.

    Valid when: the last layer is affine and all of it is penalized, or its classes overlap.
    Cost: the features once; one factored Hessian, and a few gradients a point.
    Reference: Koh and Liang 2017, section 5; the last-layer protocol of Epifano et al. 2023.
    """

    kind: Literal["frozen"] = "frozen"
    parameters: Literal["last_layer"] = "last_layer"
    """What is retrained."""
    gradient_norm: PositiveFloat = 1e-10
    """Norm of the objective's gradient at which the optimum is reached."""
    removal: Literal["drop", "zero_weight"] = "drop"
    """`drop`: the mean runs over the examples that are left; `zero_weight`: it stays over n."""

    def retraining(self, training: Training) -> Training:
        """Returns Newton's method in float64."""
        return Newton(dtype="float64", gradient_norm=self.gradient_norm)

    @property
    def drops(self) -> bool:
        """Whether the mean runs over the examples that are left."""
        return self.removal == "drop"
