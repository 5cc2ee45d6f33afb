"""The spectrum of the Hessian, or of another curvature: kept whole."""

from __future__ import annotations

from typing import Literal

from pydantic import PositiveInt

from fragility.diagnostics._curvature import CurvatureDiagnostic
from fragility.diagnostics.base import Fact, Findings
from fragility.numerics.curvature import matrix_words
from fragility.numerics.quadrature import Eigenvalues
from fragility.numerics.spectrum import Spectrum
from fragility.numerics.trained import TrainedModel


class HessianSpectrum(CurvatureDiagnostic):
    """All eigenvalues of the objective's Hessian, or another curvature, in the table `spectra`.

    Its own number is how many rows there are. Of large models the rows are nodes and weights of
    stochastic Lanczos quadrature: sums of weights times a function of the nodes estimate the trace
    of that function, such as the number of eigenvalues in an interval. A node is no eigenvalue,
    but those at the ends lie near one.

    Valid when: the loss is twice differentiable; kinks of ReLU and SELU are not seen.
    Cost: two gradients of all examples for every parameter, or `probes` times `steps` products with
        the curvature above 3,000 parameters.
    Reference: Ghorbani, Krishnan and Xiao 2019, section 2.
    """

    kind: Literal["hessian_spectrum"] = "hessian_spectrum"
    includes_regularization: bool = True
    """Whether the penalty's second derivative is part of the curvature."""
    probes: PositiveInt = 4
    """Random vectors, where the matrix is too large to be written out."""
    steps: PositiveInt = 32
    """Lanczos steps of each."""

    def measure(self, model: TrainedModel, spectrum: Spectrum) -> Findings:
        """Returns the eigenvalues, or nodes with weights, and their number."""
        own = self.of(spectrum)
        found = own.quadrature(self.includes_regularization, self.probes, self.steps)
        values, weights = found.flat()
        matrix = matrix_words(self.curvature, self.parameters, self.includes_regularization)
        detail = (
            None
            if found.complete
            else f"nodes of {self.probes} probes of {self.steps} Lanczos steps"
        )
        name = self.named(self.kind, self.includes_regularization)
        return Findings((Fact(name, len(values), detail),), Eigenvalues(matrix, values, weights))
