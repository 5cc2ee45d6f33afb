"""What procedures share whose truth is the optimum of a stated objective near the base model."""

from __future__ import annotations

from pydantic import PositiveFloat, PositiveInt

from fragility.procedures._points import OneAtATime
from fragility.training import Training
from fragility.training.full_batch import FullBatch
from fragility.training.optimizers.lbfgs import LBFGS


class Optimum(OneAtATime):
    """A procedure that goes from the base model to the optimum of an objective, in float64."""

    gradient_norm: PositiveFloat = 1e-8
    """Norm of the objective's gradient at which the optimum is reached."""
    steps: PositiveInt = 2000
    """Most steps of L-BFGS on the way; the trainings say which did not arrive."""

    def retraining(self, training: Training) -> Training:
        """Returns L-BFGS on all examples, whatever way the base model was trained."""
        return FullBatch(
            optimizer=LBFGS(), steps=self.steps, gradient_norm=self.gradient_norm, dtype="float64"
        )
