"""The norm of the gradient of the objective."""

from __future__ import annotations

from typing import Literal

from fragility.diagnostics.base import Diagnostic
from fragility.numerics.spectrum import Spectrum
from fragility.numerics.trained import TrainedModel


class GradientNorm(Diagnostic):
    """The Euclidean norm of the gradient of the objective, penalty included, in float64.

    Influence functions take it to be zero. Compare it with the size of one example's share of the
    gradient: when they are alike, retraining mostly goes on training.

    Valid when: always.
    Cost: one gradient of all examples.
    """

    kind: Literal["gradient_norm"] = "gradient_norm"

    def measure(self, model: TrainedModel, spectrum: Spectrum) -> float:
        """Returns the norm."""
        return float(model.mean_gradient(model.network.layout).norm())
