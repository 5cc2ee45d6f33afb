"""What procedures share whose truth is the optimum of a stated objective near the base model."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydantic import PositiveFloat, PositiveInt

from fragility.procedures._points import OneAtATime
from fragility.procedures.base import removal_weights
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

    def weights(self, n_train: int, removed: NDArray[np.int64] | None) -> NDArray[np.float64]:
        """Returns 1/n, and 0 for the point that is removed."""
        return removal_weights(n_train, removed, drop=False)
