"""Typical error of the scores in units of the typical effect."""

from __future__ import annotations

from typing import Literal

import numpy as np

from fragility.metrics._chance import shuffled
from fragility.metrics._medians import median
from fragility.metrics._ranks import columns_of
from fragility.metrics.base import Array, Metric, Statistic, finite


class RelativeError(Metric):
    """Median |score - effect| over median |effect|: 0 when right, 1 as good as scores of 0.

    A correlation near 1 goes with any error here: it does not see scores that are all ten times too
    large. Scores far too small come close to 1 without saying anything; see `slope`.

    Valid when: more than half of the effects are not 0; lower is better.
    Cost: n additions a draw, after two sorts.
    Reference: median absolute error over the median absolute value.
    """

    kind: Literal["relative_error"] = "relative_error"

    def degenerate(self, scores: Array, effects: Array) -> str | None:
        """Return the reason when the median size of the effects is 0."""
        zeros = int(np.count_nonzero(effects == 0))
        if np.median(np.abs(effects)) > 0:
            return None
        return f"{zeros} of {len(effects)} effects are 0, and so is their median size"

    def statistic(self, scores: Array, effects: Array) -> Statistic:
        """Return the ratio of the medians as a function of the weights."""
        # Quarters: the difference of two numbers may be twice what floating point holds.
        missed = median(np.abs(scores / 4 - effects / 4))
        size = median(np.abs(effects / 4))

        def ratio(weights: Array) -> Array:
            columns = columns_of(weights)
            with np.errstate(all="ignore"):
                return finite(missed(columns) / size(columns))

        return ratio

    def chance(
        self, n: int, scores: Array | None = None, effects: Array | None = None
    ) -> float | None:
        """Return the mean of the ratio over random pairings, within about 1 %; needs the lists."""
        if scores is None or effects is None:
            return None
        pairings = shuffled(np.sort(effects))
        with np.errstate(all="ignore"):
            missed = np.median(np.abs(np.sort(scores) / 4 - pairings / 4), axis=1)
            found = float(missed.mean() / np.median(np.abs(effects / 4)))
        return found if np.isfinite(found) else None
