"""Equivalence within a declared margin: what has to be shown before anybody says "no effect"."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.special import stdtr, stdtrit

from fragility.statistics.estimate import Array, not_finite

LEVEL = 0.05
"""Chance of calling a difference as large as the margin equivalent."""

Answer = Literal["equivalent", "different", "cannot tell"]


@dataclass(frozen=True)
class Equivalence:
    """Two one-sided tests (TOST) of a difference against a margin.

    `low` and `high` bound the difference with confidence 1 - 2 level, the interval that decides:
    inside the margin it is equivalent, outside different by more than the margin, and across
    nobody can tell. `p` is the larger of the two one-sided p-values, `p_zero` the ordinary
    two-sided one for no difference at all. All are None exactly when `reason` says why.
    """

    difference: float | None
    low: float | None
    high: float | None
    p: float | None
    p_zero: float | None
    margin: float
    answer: Answer
    reason: str | None


def equivalence_of_means(
    first: Sequence[float] | Array,
    second: Sequence[float] | Array,
    margin: float,
    level: float = LEVEL,
) -> Equivalence:
    """Returns whether the means of two samples differ by less than `margin`, first minus second.

    By Welch's t, which assumes normal means and not equal variances.

    Source: D. J. Schuirmann, J. Pharmacokinet. Biopharm. 15 (1987) 657-680; B. L. Welch, Biometrika
    34 (1947) 28-35.
    """
    a, b = (np.asarray(sample, dtype=np.float64) for sample in (first, second))
    if min(a.size, b.size) < 2:
        return _unknown(margin, f"{a.size} and {b.size} values; 2 of each are needed")
    reason = not_finite("values", np.concatenate([a, b]))
    if reason is not None:
        return _unknown(margin, reason)
    errors = np.array([a.var(ddof=1) / a.size, b.var(ddof=1) / b.size])
    error = float(errors.sum())
    if error == 0:
        return _unknown(margin, "the values do not differ within the samples")
    freedom = error**2 / float(np.sum(errors**2 / [a.size - 1, b.size - 1]))
    return equivalence_of_estimate(float(a.mean() - b.mean()), error**0.5, freedom, margin, level)


def equivalence_of_slope(
    x: Sequence[float] | Array, y: Sequence[float] | Array, margin: float, level: float = LEVEL
) -> Equivalence:
    """Returns whether the least-squares slope of `y` on `x` is less than `margin` in size.

    The margin is in units of y per unit of x. Assumes independent normal residuals of one variance.

    Source: P. M. Dixon, J. H. K. Pechmann, Ecology 86 (2005) 1751-1756.
    """
    a, b = (np.asarray(side, dtype=np.float64) for side in (x, y))
    if a.shape != b.shape or a.size < 3:
        return _unknown(margin, f"{a.size} and {b.size} values; at least 3 pairs are needed")
    reason = not_finite("values", np.concatenate([a, b]))
    if reason is not None:
        return _unknown(margin, reason)
    a, b = a - a.mean(), b - b.mean()
    spread = float(a @ a)
    if spread == 0:
        return _unknown(margin, "x does not vary")
    slope = float(a @ b) / spread
    residuals = b - slope * a
    error = (float(residuals @ residuals) / (a.size - 2) / spread) ** 0.5
    if error == 0:
        return _unknown(margin, "the points lie on a line: there is no error to judge by")
    return equivalence_of_estimate(slope, error, a.size - 2, margin, level)


def equivalence_of_estimate(
    difference: float, error: float, freedom: float, margin: float, level: float = LEVEL
) -> Equivalence:
    """Returns the same of any difference with a standard error, above 0, and Student's freedom.

    Source: D. J. Schuirmann, J. Pharmacokinet. Biopharm. 15 (1987) 657-680.
    """
    half = float(stdtrit(freedom, 1 - level)) * error
    low, high = difference - half, difference + half
    inside = -margin < low and high < margin
    outside = low > margin or high < -margin
    return Equivalence(
        difference=difference,
        low=low,
        high=high,
        p=float(stdtr(freedom, (abs(difference) - margin) / error)),
        p_zero=float(2 * stdtr(freedom, -abs(difference) / error)),
        margin=margin,
        answer="equivalent" if inside else "different" if outside else "cannot tell",
        reason=None,
    )


def _unknown(margin: float, reason: str) -> Equivalence:
    return Equivalence(None, None, None, None, None, margin, "cannot tell", reason)
