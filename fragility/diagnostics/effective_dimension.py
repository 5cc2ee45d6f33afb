"""How many directions of the curvature a damping leaves standing."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, PositiveFloat, PositiveInt

from fragility.diagnostics._curvature import CurvatureDiagnostic
from fragility.diagnostics.base import Fact, Findings
from fragility.numerics.spectrum import Spectrum
from fragility.numerics.trained import TrainedModel


class EffectiveDimension(CurvatureDiagnostic):
    """The sum over eigenvalues of lambda / (lambda + damping), for each stated damping.

    Of the directions in parameter space it counts those in which the curvature, not the damping,
    decides what an inverse does. With `includes_regularization: false` and the penalty's strength
    as damping it is the effective number of parameters of the fit: for ridge regression the trace
    of the hat matrix. Negative eigenvalues count as 0, and it is said how many they are. Of large
    models it is estimated from `probes` random vectors, with the standard error over them as
    `effective_dimension_error`.

    Valid when: the loss is twice differentiable; kinks of ReLU and SELU are not seen.
    Cost: two gradients of all examples for every parameter, or `probes` times `steps` products with
        the curvature above 3,000 parameters.
    Reference: MacKay 1992, section 4.4; Ubaru, Chen and Saad 2017.
    """

    kind: Literal["effective_dimension"] = "effective_dimension"
    damping: PositiveFloat | Annotated[tuple[PositiveFloat, ...], Field(min_length=1)]
    """One or several dampings, in the unit of the Hessian of the mean loss."""
    includes_regularization: bool = True
    """Whether the penalty's second derivative is part of the curvature."""
    probes: PositiveInt = 8
    """Random vectors, where the matrix is too large to be written out."""
    steps: PositiveInt = 48
    """Lanczos steps of each."""

    def measure(self, model: TrainedModel, spectrum: Spectrum) -> Findings:
        """Returns the sum for each damping, with its standard error where it is estimated."""
        own = self.of(spectrum)
        found = own.quadrature(self.includes_regularization, self.probes, self.steps)
        detail = self._detail(own)
        dampings = self.damping if isinstance(self.damping, tuple) else (self.damping,)
        facts = []
        for damping in dampings:

            def share(values: NDArray[np.float64], damping: float = damping) -> NDArray[np.float64]:
                positive = values.clip(min=0)
                return np.asarray(positive / (positive + damping))

            value, error = found.trace(share)
            at = f"damping {damping:g}"
            name = self.named("effective_dimension", self.includes_regularization, at)
            facts.append(Fact(name, value, detail))
            if not found.complete and error is not None:
                name = self.named("effective_dimension_error", self.includes_regularization, at)
                facts.append(Fact(name, error, "standard error over probes"))
        return Findings(tuple(facts))

    def _detail(self, spectrum: Spectrum) -> str | None:
        if not spectrum.dense:
            return f"estimated from {self.probes} probes of {self.steps} Lanczos steps"
        negative = spectrum.negative(self.includes_regularization)
        return f"{negative} negative eigenvalues count as 0" if negative else None
