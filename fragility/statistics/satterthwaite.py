"""Degrees of freedom of contrasts in a mixed model, after Satterthwaite."""

from __future__ import annotations

import numpy as np

from fragility.statistics.estimate import Array
from fragility.statistics.restricted_likelihood import RestrictedLikelihood

STEP = 1e-3
"""Step of the differences in the logarithm of a variance: errors of both kinds are about 1e-6."""


class Satterthwaite:
    """2 V^2 / var(V) for the variance V of a contrast, by the delta method.

    var(V) is from the curvature of the restricted deviance in the logarithms of the variances,
    those estimated as zero held there.
    """

    def __init__(self, likelihood: RestrictedLikelihood, gamma: Array, variance: float) -> None:
        self._likelihood = likelihood
        self._free = np.append(gamma > 0, True)
        self._logs = np.log(np.append(gamma, 1.0)[self._free] * variance)
        steps = STEP * np.eye(len(self._logs))
        curvature = np.array(
            [
                [
                    self._deviance(a + b)
                    - self._deviance(a - b)
                    - self._deviance(b - a)
                    + self._deviance(-a - b)
                    for b in steps
                ]
                for a in steps
            ]
        ) / (4 * STEP**2)
        # Directions in which the likelihood is flat are left out, as by a pseudoinverse.
        self._covariance = 2 * np.linalg.pinv(curvature, rcond=1e-8, hermitian=True)
        ends = [[self._scaled_inverse(s) for s in (step, -step)] for step in steps]
        self._slopes = np.array([(up - down) / (2 * STEP) for up, down in ends])
        self._inverse = self._scaled_inverse(np.zeros(len(self._logs)))

    def of(self, contrast: Array) -> float:
        """Returns the degrees of freedom of the combination `contrast` (p,) of coefficients."""
        slope = np.einsum("p,kpq,q->k", contrast, self._slopes, contrast)
        value = float(contrast @ self._inverse @ contrast)
        return 2 * value**2 / float(slope @ self._covariance @ slope)

    def _variances(self, change: Array) -> tuple[Array, float]:
        values = np.zeros(len(self._free))
        values[self._free] = np.exp(self._logs + change)
        return values[:-1] / values[-1], float(values[-1])

    def _deviance(self, change: Array) -> float:
        return self._likelihood.deviance(*self._variances(change))

    def _scaled_inverse(self, change: Array) -> Array:
        gamma, variance = self._variances(change)
        return variance * self._likelihood.solve(gamma).inverse
