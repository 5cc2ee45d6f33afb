"""The number of negative eigenvalues of the Hessian."""

from __future__ import annotations

from typing import Literal

from fragility.diagnostics.base import Diagnostic
from fragility.numerics.spectrum import Spectrum
from fragility.numerics.trained import TrainedModel


class HessianNegativeEigenvalues(Diagnostic):
    """How many eigenvalues of the Hessian of the objective are negative beyond rounding.

    Any means that the model is not at a minimum, and that the influence function inverts a matrix
    which does not describe a minimum.

    Valid when: the model is small enough for the dense Hessian.
    Cost: two gradients of all examples for every parameter.
    Reference: Koh and Liang 2017, section 4.2.
    """

    kind: Literal["hessian_negative_eigenvalues"] = "hessian_negative_eigenvalues"
    includes_regularization: bool = True
    """Whether the penalty's second derivative is part of the Hessian."""

    def measure(self, model: TrainedModel, spectrum: Spectrum) -> float:
        """Returns the count."""
        return spectrum.negative(self.includes_regularization)
