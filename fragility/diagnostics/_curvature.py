"""What diagnostics of a curvature share: which matrix, and the words for it."""

from __future__ import annotations

from fragility.diagnostics.base import Diagnostic
from fragility.numerics.curvature import Curvature, matrix_words
from fragility.numerics.network import ParameterSet
from fragility.numerics.spectrum import Spectrum


class CurvatureDiagnostic(Diagnostic):
    """A fact about a curvature matrix: as an estimator inverts it, if its fields are the same."""

    parameters: ParameterSet = "all"
    """The parameters it concerns, the others count as fixed: `all`, `last_layer`,
    `last_layer_weight`, or patterns of parameter names such as `["3.*"]`."""
    curvature: Curvature = "hessian"
    """The objective's Hessian, its Gauss-Newton part, or the second moment of the examples'
    gradients."""

    def of(self, spectrum: Spectrum) -> Spectrum:
        """Returns the spectrum that is asked for.

        Raises:
            MethodFailure: the model has no such parameters.
        """
        return spectrum.of(self.parameters, self.curvature)

    def named(self, name: str, includes_regularization: bool = True, *more: str) -> str:
        """Returns the name of a fact, which says of which matrix it is unless that is the usual."""
        usual = matrix_words("hessian", "all", True)
        matrix = matrix_words(self.curvature, self.parameters, includes_regularization)
        parts = [*([] if matrix == usual else [matrix]), *more]
        return f"{name} [{', '.join(parts)}]" if parts else name
