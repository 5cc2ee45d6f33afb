"""The Newton decrement: how far the trained model is from the optimum of its objective."""

from __future__ import annotations

from math import sqrt
from typing import Literal

from pydantic import PositiveInt

from fragility.diagnostics._curvature import CurvatureDiagnostic
from fragility.diagnostics.base import Fact, Findings
from fragility.errors import MethodFailure
from fragility.numerics.decrement import NewtonStep
from fragility.numerics.spectrum import Spectrum
from fragility.numerics.trained import TrainedModel

SOLVED = 1e-3


class NewtonDecrement(CurvatureDiagnostic):
    """The Newton decrement sqrt(g^T H^-1 g) of exactly the objective that was trained.

    Gradient g and curvature H are of one objective, penalty included, in the same parameters.
    `newton_decrease` is half the square: by how much the objective would fall to its optimum,
    exactly where it is quadratic. `newton_step_norm` is the length of the step H^-1 g: how far the
    optimum is, to be compared with the distance that retrainings move. `newton_gradient_norm` is
    that of g. Directions in which the curvature is 0 to rounding are left out, and it is said what
    part of the gradient they hold. An indefinite H has no decrement: the model is at no minimum,
    and there is no number but a reason.

    Valid when: the curvature is positive semidefinite; near the optimum.
    Cost: two gradients of all examples for every parameter and P^3 operations, or `steps` products
        with the curvature above 3,000 parameters.
    Reference: Boyd and Vandenberghe 2004, section 9.5.1.
    """

    kind: Literal["newton_decrement"] = "newton_decrement"
    steps: PositiveInt = 64
    """Lanczos steps from the gradient, where the matrix is too large to be written out."""

    def measure(self, model: TrainedModel, spectrum: Spectrum) -> Findings:
        """Returns the decrement, half its square, and the norms of the step and of the gradient."""
        own = self.of(spectrum)
        gradient = model.mean_gradient(own.layout)
        norm = float(gradient.norm())
        if not norm < float("inf"):
            raise MethodFailure("the gradient is not finite: the trained model has diverged.")
        step = own.newton_step(gradient, self.steps)
        facts = [Fact(self.named("newton_gradient_norm"), norm)]
        if step.negative:
            reason = self._indefinite(own, step)
            facts += [Fact(self.named(name), None, reason) for name in _NAMES]
            return Findings(tuple(facts))
        detail = self._detail(own, step, norm)
        values = (sqrt(max(step.square, 0.0)), max(step.square, 0.0) / 2, step.norm)
        facts += [
            Fact(self.named(name), value, detail)
            for name, value in zip(_NAMES, values, strict=True)
        ]
        return Findings(tuple(facts))

    def _indefinite(self, spectrum: Spectrum, step: NewtonStep) -> str:
        if spectrum.dense:
            count = f"{spectrum.negative(True)} of {spectrum.size} eigenvalues are negative"
        else:
            count = "a Ritz value is negative"
        return f"indefinite: {count}, the lowest {step.lowest:.3g}"

    def _detail(self, spectrum: Spectrum, step: NewtonStep, norm: float) -> str | None:
        words = []
        if not spectrum.dense:
            least = "at least, " if step.residual > SOLVED else ""
            steps = min(self.steps, spectrum.size)
            words.append(f"{least}{steps} Lanczos steps, relative residual {step.residual:.2g}")
        if norm and step.outside > SOLVED * norm:
            share = step.outside / norm
            words.append(f"flat directions left out hold {share:.2g} of the gradient's norm")
        return "; ".join(words) or None


_NAMES = ("newton_decrement", "newton_decrease", "newton_step_norm")
