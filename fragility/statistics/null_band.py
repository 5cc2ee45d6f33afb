"""What a correlation is by chance alone: permutation bands, and their closed forms for axes."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import gammaln, ndtri, stdtrit

from fragility.identity import derive_seed
from fragility.statistics.ceiling import Ceiling
from fragility.statistics.correlations import Kind, midranks
from fragility.statistics.estimate import CONFIDENCE, Array, not_finite

CHUNK = 2**20
"""Permuted scores held at once: 8 MB."""

FEWEST_RANKS = 10
"""From so many points on Student's law is good enough for Spearman's correlation."""

MOST_INVERSIONS = 100
"""Beyond so many points Kendall's correlation is as good as normal."""


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
    drawn = np.sort(_permuted(x, y, draws, seed).mean(axis=1))
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


def permuted_correlations(
    scores: Array, effects: Array, kind: Kind, *, seed: int, draws: int
) -> Array:
    """Returns the correlations (draws, tests) of `scores` with `effects`, (tests, points) each.

    For random orders of the removals, the same in all test points of a draw; NaN for a test point
    whose scores or effects are constant. For bands of other averages than `permutation_band`'s.

    Cost: draws x tests x points multiplications.
    """
    found = np.full((draws, len(scores)), np.nan)
    varied = (np.ptp(scores, axis=1) > 0) & (np.ptp(effects, axis=1) > 0)
    if varied.any():
        x, y = (_standardized(side[varied], kind) for side in (scores, effects))
        found[:, varied] = _permuted(x, y, draws, seed)
    return found


def null_half_width(
    points: int, confidence: float = CONFIDENCE, kind: Ceiling = "pearson"
) -> float | None:
    """Returns h such that a correlation of unrelated values stays within [-h, h].

    Over so many points, with a probability of `confidence` or, where few values are possible, more.
    Pearson, and Spearman from 10 points: t/sqrt(t^2 + n - 2) with Student's t for n - 2 degrees of
    freedom, exact for Pearson when scores or effects are normal, and within 0.01 for ranks.
    Spearman below, and Kendall up to 100 points: the law of all permutations without ties; Kendall
    beyond: normal. Pearson's is 0.40 for 25 points, 0.31 for 40, 0.20 for 100, 0.09 for 500. None
    below 4 points.
    """
    if points < 4:
        return None
    if kind == "kendall" and points > MOST_INVERSIONS:
        spread = math.sqrt(2 * (2 * points + 5) / (9 * points * (points - 1)))
        return float(ndtri((1 + confidence) / 2)) * spread
    if kind == "kendall" or (kind == "spearman" and points < FEWEST_RANKS):
        return _exact(kind, points, confidence)
    t = float(stdtrit(points - 2, (1 + confidence) / 2))
    return t / math.sqrt(t * t + points - 2)


def _exact(kind: Ceiling, points: int, confidence: float) -> float:
    """Returns the least size of a rank correlation that no more than 1 - confidence exceed."""
    law = _squares(points) if kind == "spearman" else _inversions(points)
    # Both laws run from the same order to the opposite one, in equal steps of the correlation.
    steps = len(law) - 1
    sizes = np.abs(steps - 2 * np.arange(len(law)))
    share = np.bincount(sizes, weights=law) / law.sum()
    beyond = 1 - np.cumsum(share)
    attained = np.flatnonzero((share > 0) & (beyond <= (1 - confidence) * (1 + 1e-9)))
    return float(attained[0] / steps)


def _inversions(points: int) -> Array:
    """Returns how likely each number of inverted pairs is, among all orders."""
    law = np.ones(1)
    for size in range(2, points + 1):
        law = np.convolve(law, np.full(size, 1 / size))
    return law


def _squares(points: int) -> Array:
    """Returns the number of orders with each sum of squared differences of rank.

    Rank by rank, by the set of ranks that are taken: 2^n sets.
    """
    most = points * (points**2 - 1) // 3
    laws: dict[int, Array] = {0: np.eye(1, most + 1)[0]}
    for rank in range(points):
        found: dict[int, Array] = {}
        for taken, law in laws.items():
            for other in range(points):
                if not taken >> other & 1:
                    square = (rank - other) ** 2
                    moved = np.concatenate([np.zeros(square), law[: most + 1 - square]])
                    key = taken | 1 << other
                    found[key] = found[key] + moved if key in found else moved
        laws = found
    return laws[2**points - 1]


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
    """Returns the correlations (draws, tests) under random orders of the removals."""
    rng = np.random.default_rng(derive_seed(seed, "null band"))
    points = x.shape[1]
    step = max(1, CHUNK // x.size)
    found = []
    for at in range(0, draws, step):
        rows = min(step, draws - at)
        orders = rng.permuted(np.tile(np.arange(points), (rows, 1)), axis=1)
        found.append(np.einsum("tdn,tn->dt", x[:, orders], y))
    return np.concatenate(found)
