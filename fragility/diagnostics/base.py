"""What a diagnostic is: one number about a trained model."""

from __future__ import annotations

from abc import abstractmethod

from fragility.method import Method, Room
from fragility.numerics.spectrum import Spectrum
from fragility.numerics.trained import TrainedModel


class Diagnostic(Method):
    """A fact about a trained model."""

    @abstractmethod
    def measure(self, model: TrainedModel, spectrum: Spectrum) -> float:
        """Returns the number.

        Args:
            model: the trained model, in float64.
            spectrum: the eigenvalues of its Hessian, computed once for all diagnostics that ask.

        Raises:
            MethodFailure: there is no such number for this model.
        """


DIAGNOSTICS: Room[Diagnostic] = Room("diagnostics", Diagnostic, "fragility.diagnostics")
