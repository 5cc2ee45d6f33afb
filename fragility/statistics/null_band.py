"""What a correlation is by chance alone: permutation bands, and their closed forms for axes."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import gammaln, stdtrit

from fragility.identity import derive_seed
from fragility.statistics.correlations import Kind, midranks
from fragility.statistics.estimate import CONFIDENCE, Array, not_finite

CHUNK = 2**20
"""Permuted scores held at once: 8 MB."""


@dataclass(frozen=True)
class NullBand:
    """Where a correlation lies when scores and effects are unrelated.

    A `value` falls outside [`low`, `high`] with a probability of exactly 1 - confidence then, were
    there no ties; `p` is the two-sided p-value of the value that was found. `mean_absolute` is the
    average of its absolute value by chance. All are None exactly when `reason` says why.
    """

    value: float | None
    low: float | None
    high: float | None
    mean_absolute: float | None
    p: float | None
    reason: str | None


def permutation_band(
    scores: Array,
    effects: Array,
    kind: Kind,
    *,
    seed: int,
    draws: int = 1999,
    confidence: float = CONFIDENCE,
) -> NullBand:
    """Returns the null band of the correlation of `scores` with `effects`, (points,) each.

    Or of the mean over test points of their correlations, when both are (tests, points). The labels
    of the removals are permuted within each test point, in all of them alike: effects of one
    removal on several test points stay together, as they would by chance. Nothing is assumed but
    that removals are exchangeable when scores say nothing.

    The band runs from the k-th lowest to the k-th highest of the draws, k = (1 - confidence)/2
    (draws + 1) rounded down: exact where that is a whole number, as for the default, and wider than
    asked for elsewhere. Test points whose scores or effects are constant are left out.

    Cost: draws x tests x points multiplications.

    Source: B. Phipson, G. K. Smyth, Stat. Appl. Genet. Mol. Biol. 9 (2010) 39.
    """
    x, y = (np.atleast_2d(np.asarray(side, dtype=np.float64)) for side in (scores, effects))
    rank = math.floor((1 - confidence) / 2 * (draws + 1) * (1 + 1e-12))
    reason = _undefined(x, y, rank)
    if reason is None:
        varied = (np.ptp(x, axis=1) > 0) & (np.ptp(y, axis=1) > 0)
        x, y = x[varied], y[varied]
        if not len(x):
            reason = "scores or effects are constant for every test point"
    if reason is not None:
        return NullBand(None, None, None, None, None, reason)
    x, y = _standardized(x, kind), _standardized(y, kind)
    value = float(np.sum(x * y)) / len(x)
    drawn = np.sort(_permuted(x, y, draws, seed))
    # Rounding must not tell a permutation that gives the same number from the one that was found.
    extreme = np.sum(np.abs(drawn) >= abs(value) * (1 - 1e-12))
    return NullBand(
        value=value,
        low=float(drawn[rank - 1]),
        high=float(drawn[-rank]),
        mean_absolute=float(np.mean(np.abs(drawn))),
        p=float((1 + extreme) / (draws + 1)),
        reason=None,
    )


def null_half_width(points: int, confidence: float = CONFIDENCE) -> float | None:
    """Returns h such that a correlation of unrelated values stays within [-h, h].

    Pearson and Spearman over so many points, t/sqrt(t^2 + n - 2) with Student's t for n - 2 degrees
    of freedom: exact for Pearson when scores or effects are normal, and within 0.01 for ranks from
    10 points. It is 0.40 for 25 points, 0.31 for 40, 0.20 for 100, 0.09 for 500. None below 4
    points.
    """
    if points < 4:
        return None
    t = float(stdtrit(points - 2, (1 + confidence) / 2))
    return t / math.sqrt(t * t + points - 2)


def null_mean_absolute(points: int) -> float | None:
    """Returns the expected |r| of unrelated values, which averages of |r| must be held against.

    Gamma((n-1)/2) / (sqrt(pi) Gamma(n/2)), about sqrt(2/(pi n)); exact for Pearson when scores or
    effects are normal, and within 0.01 for ranks from 10 points. None below 4 points.
    """
    if points < 4:
        return None
    return math.exp(gammaln((points - 1) / 2) - gammaln(points / 2)) / math.sqrt(math.pi)


def _undefined(x: Array, y: Array, rank: int) -> str | None:
    if x.shape != y.shape:
        return f"scores {x.shape} and effects {y.shape} do not belong together"
    if x.shape[1] < 4:
        return f"{x.shape[1]} points; at least 4 are needed"
    if rank < 1:
        return "there are too few draws for a band of this confidence"
    return not_finite("scores", x) or not_finite("effects", y)


def _standardized(values: Array, kind: Kind) -> Array:
    """Returns rows of mean 0 and length 1, so that a correlation is a product."""
    size = np.abs(values).max(axis=1, keepdims=True)
    used = midranks(values, np.ones_like(values)) if kind == "spearman" else values / size
    used = used - used.mean(axis=1, keepdims=True)
    return np.asarray(used / np.linalg.norm(used, axis=1, keepdims=True))


def _permuted(x: Array, y: Array, draws: int, seed: int) -> Array:
    """Returns means over test points of the correlations under random orders of the removals."""
    rng = np.random.default_rng(derive_seed(seed, "null band"))
    tests, points = x.shape
    step = max(1, CHUNK // x.size)
    found = []
    for at in range(0, draws, step):
        rows = min(step, draws - at)
        orders = rng.permuted(np.tile(np.arange(points), (rows, 1)), axis=1)
        found.append(np.einsum("tdn,tn->d", x[:, orders], y) / tests)
    return np.concatenate(found)
