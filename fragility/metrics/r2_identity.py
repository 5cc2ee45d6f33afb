"""Share of the effects' variance explained by taking scores at face value."""

from __future__ import annotations

from typing import Literal

import numpy as np

from fragility.metrics._moments import moments, unit
from fragility.metrics.base import Array, Metric, Statistic, constant, finite
from fragility.metrics.reliability import Reliability


class R2Identity(Metric):
    """R2 against the identity line: 1 - sum (effect - score)^2 / sum (effect - mean effect)^2.

    1 when every score equals its effect, 0 when the mean effect would have predicted as well,
    negative when worse than that. Unlike a correlation it punishes wrong size and common offset.

    Valid when: effects vary; scores need not.
    Cost: two products of the draws' weights with a few columns.
    Reference: coefficient of determination of the fixed line y = x.
    """

    kind: Literal["r2_identity"] = "r2_identity"

    def degenerate(self, scores: Array, effects: Array) -> str | None:
        """Return the reason when effects do not vary."""
        return constant("effects", effects)

    def statistic(self, scores: Array, effects: Array) -> Statistic:
        """Return the R2 as a function of the weights."""
        with np.errstate(all="ignore"):
            effect = unit(effects)
            misses = (effects - scores) / effect.scale
            largest = np.abs(misses).max()
            squares = (misses / largest) ** 2 if largest > 0 else np.zeros_like(misses)
        of_draws = moments(effect.values, effect.values)

        def explained(weights: Array) -> Array:
            with np.errstate(all="ignore"):
                missed = weights @ squares / weights.sum(axis=1)
                return finite(1.0 - missed / of_draws(weights).variance_y * largest * largest)

        return explained

    def ceiling(self, noise: Reliability) -> float | None:
        """Return the R2 of the true with the measured effects; a shift of all of them lowers it."""
        return noise.agreement

    def chance(
        self, n: int, scores: Array | None = None, effects: Array | None = None
    ) -> float | None:
        """Return the mean over all pairings, exactly: 0 less what the scores vary and are off."""
        if scores is None or effects is None:
            return None
        with np.errstate(all="ignore"):
            offset = (scores.mean() - effects.mean()) / effects.std()
            found = -float((scores.std() / effects.std()) ** 2 + offset**2)
        return found if np.isfinite(found) else None
