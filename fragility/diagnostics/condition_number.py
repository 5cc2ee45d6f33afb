"""The condition number of the curvature, against what a precision can resolve."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from pydantic import NonNegativeFloat, PositiveInt

from fragility.diagnostics._curvature import CurvatureDiagnostic
from fragility.diagnostics.base import Fact, Findings
from fragility.numerics.spectrum import Spectrum
from fragility.numerics.trained import TrainedModel

PRECISIONS = ("float32", "float64")


class ConditionNumber(CurvatureDiagnostic):
    """The largest eigenvalue over the smallest, in size, of the curvature with its damping.

    Times the machine epsilon it is the relative error that rounding alone may leave in a score:
    `relative_error_float32` and `relative_error_float64`; from 1 upwards no digit is sure, nor is a
    sign. `machine_epsilon` is that of the precision in which the model was trained. Where an
    eigenvalue is 0 to rounding, and for large models, the number is what the condition is at least:
    Lanczos tells within which distance of a Ritz value an eigenvalue lies. The other bound,
    `condition_number_at_most`, is there for matrices without negative eigenvalues (`gauss_newton`,
    `empirical_fisher`) where every parameter has a penalty or damping.

    Valid when: the loss is twice differentiable; kinks of ReLU and SELU are not seen.
    Cost: two gradients of all examples for every parameter, or `steps` products with the curvature
        above 3,000 parameters.
    Reference: Higham 2002, section 7.1.
    """

    kind: Literal["condition_number"] = "condition_number"
    includes_regularization: bool = True
    """Whether the penalty's second derivative is part of the curvature."""
    damping: NonNegativeFloat = 0.0
    """Added to every eigenvalue, as by an estimator."""
    steps: PositiveInt = 48
    """Lanczos steps, where the matrix is too large to be written out."""

    def measure(self, model: TrainedModel, spectrum: Spectrum) -> Findings:
        """Returns the condition number, what it costs in either precision, and the training's."""
        own = self.of(spectrum)
        ends = own.ends(self.includes_regularization, self.steps)
        damped = np.abs(ends.values + self.damping)
        sure = bool(own.dense and damped.min() > ends.within.max())
        largest = float(damped.max())
        if largest == 0:
            reason = "the curvature is 0 wherever it was looked at"
            return Findings((Fact(self._name("condition_number"), None, reason),))
        smallest = float(damped.min() if sure else (damped + ends.within).min())
        condition = largest / smallest
        detail = self._detail(own, sure)
        facts = [Fact(self._name("condition_number"), condition, detail)]
        facts += [
            Fact(self._name(f"relative_error_{name}"), condition * float(np.finfo(name).eps))
            for name in PRECISIONS
        ]
        epsilon = torch.finfo(own.trained_in).eps
        name = str(own.trained_in).removeprefix("torch.")
        facts.append(Fact("machine_epsilon", epsilon, f"the model was trained in {name}"))
        most = None if sure or self.curvature == "hessian" else self._at_most(own)
        if most is not None:
            facts.append(Fact(self._name("condition_number_at_most"), most, "from the trace"))
        return Findings(tuple(facts))

    def _at_most(self, spectrum: Spectrum) -> float | None:
        """Returns a bound for a positive semidefinite matrix; None without penalty and damping."""
        matrix = spectrum.matrix(self.includes_regularization)
        lowest = float(matrix.decay.min()) + self.damping
        highest = matrix.size * matrix.mean_eigenvalue + float(matrix.decay.max()) + self.damping
        return highest / lowest if lowest > 0 else None

    def _name(self, name: str) -> str:
        more = [f"damping {self.damping:g}"] if self.damping else []
        return self.named(name, self.includes_regularization, *more)

    def _detail(self, spectrum: Spectrum, sure: bool) -> str | None:
        if sure:
            return None
        if spectrum.dense:
            return "at least: the smallest eigenvalue is 0 to rounding"
        return f"at least: {self.steps} steps of Lanczos"
