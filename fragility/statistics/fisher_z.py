"""Averages of correlations on Fisher's z scale."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.special import stdtrit

from fragility.statistics.estimate import CONFIDENCE, Array, Estimate, missing, not_finite

LARGEST = 1 - 1e-6
"""Correlations beyond this, whose z would be infinite, count as this: z is then 7.25."""


def fisher_z(correlations: Array) -> Array:
    """Returns z = artanh(r), correlations beyond `LARGEST` counted as that; NaN stays NaN."""
    return np.asarray(np.arctanh(np.clip(correlations, -LARGEST, LARGEST)))


def fisher_mean(correlations: Sequence[float] | Array, confidence: float = CONFIDENCE) -> Estimate:
    """Returns the mean correlation, averaged as z, with a Student interval over the units.

    Assumes that the z are independent and about normal; that they come from as many pairs each is
    not needed. One correlation has a value and no interval; none, or one outside [-1, 1], has none.

    Source: R. A. Fisher, Metron 1 (1921) 3-32.
    """
    values = np.asarray(correlations, dtype=np.float64)
    if values.size == 0:
        return missing("there are no correlations")
    reason = not_finite("correlations", values)
    if reason is None and np.abs(values).max() > 1 + 1e-9:
        reason = "a correlation lies outside [-1, 1]"
    if reason is not None:
        return missing(reason)
    z = fisher_z(values)
    mean = float(z.mean())
    if z.size == 1:
        return Estimate(float(np.tanh(mean)), None, None, "one correlation has no interval")
    half = float(stdtrit(z.size - 1, (1 + confidence) / 2) * z.std(ddof=1) / np.sqrt(z.size))
    low, high = (float(np.tanh(end)) for end in (mean - half, mean + half))
    return Estimate(float(np.tanh(mean)), low, high)
