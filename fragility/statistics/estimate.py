"""What every answer of this room looks like: a number with its interval, or why there is none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

CONFIDENCE = 0.95
"""Confidence of every interval unless another is asked for."""


@dataclass(frozen=True)
class Estimate:
    """A number and its interval.

    `reason` is None exactly when all three numbers are there. Without a `value` there are no bounds
    and `reason` says why; with a value and no bounds it says why there is no interval.
    """

    value: float | None
    low: float | None
    high: float | None
    reason: str | None = None

    def map(self, increasing: Callable[[float], float]) -> Estimate:
        """Returns the estimate of an increasing function of the number."""

        def of(value: float | None) -> float | None:
            return None if value is None else increasing(value)

        return replace(self, value=of(self.value), low=of(self.low), high=of(self.high))


def missing(reason: str) -> Estimate:
    """Returns the estimate that cannot be given, and why."""
    return Estimate(None, None, None, reason)


def not_finite(name: str, values: Array) -> str | None:
    """Returns the reason when some values are NaN or infinite."""
    bad = int(np.count_nonzero(~np.isfinite(values)))
    return f"{bad} of {values.size} {name} are not finite" if bad else None
