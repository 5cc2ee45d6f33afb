"""The smallest eigenvalue of the Hessian."""

from __future__ import annotations

from typing import Literal

from fragility.diagnostics.base import Diagnostic
from fragility.numerics.spectrum import Spectrum
from fragility.numerics.trained import TrainedModel


class HessianBottomEigenvalue(Diagnostic):
    """The smallest eigenvalue, with its sign, of the Hessian of the objective in all parameters.

    Valid when: the loss is twice differentiable; kinks of ReLU and SELU are not seen.
    Cost: two gradients of all examples for every parameter, or Lanczos for large models.
    Reference: Epifano et al. 2023, figure 3 (there without the penalty).
    """

    kind: Literal["hessian_bottom_eigenvalue"] = "hessian_bottom_eigenvalue"
    includes_regularization: bool = True
    """Whether the penalty's second derivative is part of the Hessian."""

    def measure(self, model: TrainedModel, spectrum: Spectrum) -> float:
        """Returns the eigenvalue."""
        return spectrum.end("bottom", self.includes_regularization)
