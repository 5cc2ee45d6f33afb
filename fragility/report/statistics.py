"""The few statistics a page needs that no table holds: null bands, Student intervals, trends."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtr, stdtrit

from fragility.statistics.ceiling import Ceiling
from fragility.statistics.null_band import null_half_width

Values = NDArray[np.float64]
BOUNDS = {
    "pearson": (-1.0, 1.0),
    "spearman": (-1.0, 1.0),
    "kendall": (-1.0, 1.0),
    "sign_agreement": (0.0, 1.0),
    "r2_identity": (-math.inf, 1.0),
    "within_sign": (-1.0, 1.0),
    "cosine": (-1.0, 1.0),
    "top_k_precision": (0.0, 1.0),
    "relative_error": (0.0, math.inf),
    "|pearson|": (0.0, 1.0),
    "|spearman|": (0.0, 1.0),
    "|kendall|": (0.0, 1.0),
}

CORRELATIONS: Mapping[str, Ceiling] = {
    "pearson": "pearson",
    "spearman": "spearman",
    "kendall": "kendall",
}
"""Correlations, whose law under chance is known."""


@dataclass(frozen=True)
class Mean:
    """A mean over repeats with its 95 % t interval; no interval below two repeats."""

    value: float
    low: float | None
    high: float | None
    n: int


def mean_interval(values: Sequence[float] | Values, metric: str = "") -> Mean:
    """Returns the mean and its two-sided 95 % Student interval, within the metric's bounds."""
    array = np.asarray(values, dtype=np.float64)
    mean, n = float(array.mean()), array.size
    if n < 2:
        return Mean(mean, None, None, n)
    half = t_half_width(float(array.std(ddof=1)), n)
    return Mean(mean, *within_bounds(metric, mean - half, mean + half), n)


def geometric_mean(values: Values) -> Mean:
    """Returns the geometric mean of positive values with the interval of the mean logarithm."""
    log = mean_interval(np.log(values))
    low, high = (None if end is None else math.exp(end) for end in (log.low, log.high))
    return Mean(math.exp(log.value), low, high, log.n)


def t_half_width(deviation: float, n: int) -> float:
    """Returns half the width of the 95 % Student interval of a mean of n values."""
    return float(stdtrit(n - 1, 0.975)) * deviation / math.sqrt(n)


def within_bounds(metric: str, low: float, high: float) -> tuple[float, float]:
    """Returns the interval cut to the values that the metric can take.

    A Student interval knows nothing of bounds; cutting it loses no coverage.
    """
    bounds = BOUNDS.get(metric, (-math.inf, math.inf))
    return max(low, bounds[0]), min(high, bounds[1])


def null_band(metric: str, n: int) -> tuple[float, float] | None:
    """Returns the 95 % range of a metric when n scores and effects are unrelated.

    Correlations: the laws of `null_half_width`; absolute ones from 0 to the same upper end. Sign
    agreement: exact binomial around one half. None for metrics without such a law, or n < 4.
    """
    if n < 4:
        return None
    if (kind := CORRELATIONS.get(metric.strip("|"))) is not None:
        edge = null_half_width(n, kind=kind) or 1.0
        return (0.0 if metric.startswith("|") else -edge), edge
    if metric == "sign_agreement":
        most = int(np.argmax(bdtr(np.arange(n + 1), n, 0.5) >= 0.975)) / n
        return 1 - most, most
    return None


def line(x: Values, y: Values) -> tuple[float, float] | None:
    """Returns slope and intercept of the least-squares line, None when x does not vary."""
    dx = x - x.mean()
    spread = float(dx @ dx)
    if x.size < 2 or spread == 0:
        return None
    slope = float(dx @ (y - y.mean())) / spread
    return slope, float(y.mean() - slope * x.mean())


def trend(x: Values, y: Values) -> float | None:
    """Returns Spearman's rank correlation, None when one side does not vary."""
    if x.size < 3:
        return None
    a, b = _midranks(x), _midranks(y)
    a, b = a - a.mean(), b - b.mean()
    size = math.sqrt(float(a @ a) * float(b @ b))
    return float(a @ b) / size if size else None


def _midranks(values: Values) -> Values:
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((last - (counts - 1) / 2)[place], dtype=np.float64)
