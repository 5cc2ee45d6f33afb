"""Intraclass correlations: the share of the variance between points that is not replicate noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import fdtri

from fragility.statistics.estimate import CONFIDENCE, Array, Estimate, missing, not_finite


@dataclass(frozen=True)
class Components:
    """Variances of points, of shifts that a replicate gives to all points, and of the rest."""

    points: float
    replicates: float
    residual: float


@dataclass(frozen=True)
class Intraclass:
    """Reliability, 0 to 1, of `single` replicates and of the `mean` over all of them."""

    single: Estimate
    mean: Estimate


@dataclass(frozen=True)
class _MeanSquares:
    """Mean squares of a table of replicates x points whose values were scaled to at most 1."""

    points: float
    replicates: float
    residual: float
    within: float
    unit: float


def intraclass_agreement(
    effects: Array, confidence: float = CONFIDENCE, weights: Array | None = None
) -> Intraclass:
    """Returns ICC(1,1) and ICC(1,R) of `effects` (replicates, points): one-way random effects.

    A shift that a replicate gives to all points alike counts as noise: right for effects whose size
    matters, and too pessimistic for a correlation over points, which is blind to it. Negative
    estimates and bounds are 0. The interval is exact for normal effects without `weights`
    (points,), by which points count as repeated so often without adding degrees of freedom.

    Source: P. E. Shrout, J. L. Fleiss, Psychol. Bull. 86 (1979) 420-428, cases 1.
    """
    reason = undefined(effects)
    if reason is not None:
        return Intraclass(missing(reason), missing(reason))
    replicates, points = effects.shape
    squares = _mean_squares(effects, weights)
    return _intraclass(
        squares.points, squares.within, points * (replicates - 1), effects.shape, confidence
    )


def intraclass_consistency(
    effects: Array, confidence: float = CONFIDENCE, weights: Array | None = None
) -> Intraclass:
    """Returns ICC(C,1) and ICC(C,R) of `effects` (replicates, points): two-way random effects.

    ICC(C,R) is Cronbach's alpha. A shift that a replicate gives to all points alike is taken out,
    as a correlation over points does: its square root is the ceiling of Pearson's correlation.
    Negative estimates and bounds are 0. The interval is exact for normal effects without `weights`
    (points,), by which points count as repeated so often without adding degrees of freedom.

    Source: K. O. McGraw, S. P. Wong, Psychol. Methods 1 (1996) 30-46, cases 2 and 3.
    """
    reason = undefined(effects)
    if reason is not None:
        return Intraclass(missing(reason), missing(reason))
    replicates, points = effects.shape
    squares = _mean_squares(effects, weights)
    return _intraclass(
        squares.points, squares.residual, (points - 1) * (replicates - 1), effects.shape, confidence
    )


def variance_components(effects: Array) -> Components | None:
    """Returns the variance components of `effects` (replicates, points), negative ones as 0.

    From the mean squares of the two-way table, in squared units of the effects. None where
    `undefined` names a reason.
    """
    if undefined(effects) is not None:
        return None
    replicates, points = effects.shape
    squares = _mean_squares(effects)
    unit = squares.unit**2
    return Components(
        points=unit * max(0.0, (squares.points - squares.residual) / replicates),
        replicates=unit * max(0.0, (squares.replicates - squares.residual) / points),
        residual=unit * squares.residual,
    )


def undefined(effects: Array) -> str | None:
    """Returns why `effects` (replicates, points) have no reliability, or None when they have."""
    replicates, points = effects.shape
    if replicates < 2:
        return f"{replicates} replicate{'' if replicates == 1 else 's'}; at least 2 are needed"
    if points < 2:
        return f"{points} point{'' if points == 1 else 's'}; at least 2 are needed"
    reason = not_finite("effects", effects)
    if reason is None and bool(np.all(effects == effects[:, :1])):
        reason = "the effects of all points are equal"
    return reason


def _mean_squares(effects: Array, weights: Array | None = None) -> _MeanSquares:
    replicates, points = effects.shape
    counts = np.ones(points) if weights is None else points * weights / weights.sum()
    exponent = int(np.frexp(np.abs(effects).max())[1])
    reduced = np.ldexp(effects, -exponent)
    of_points, of_replicates = reduced.mean(axis=0), reduced @ counts / points
    mean = of_replicates.mean()
    rest = reduced - of_points - of_replicates[:, None] + mean
    return _MeanSquares(
        points=float(replicates * np.sum(counts * (of_points - mean) ** 2) / (points - 1)),
        replicates=float(points * np.sum((of_replicates - mean) ** 2) / (replicates - 1)),
        residual=float(np.sum(counts * rest**2) / ((points - 1) * (replicates - 1))),
        within=float(np.sum(counts * (reduced - of_points) ** 2) / (points * (replicates - 1))),
        unit=float(np.ldexp(1.0, exponent)),
    )


def _intraclass(
    between: float, noise: float, freedom: int, shape: tuple[int, ...], confidence: float
) -> Intraclass:
    """Returns both coefficients from mean squares, `noise` with so many degrees of freedom."""
    replicates, points = shape
    upper = (1 + confidence) / 2
    f_low = float(fdtri(points - 1, freedom, upper))
    f_high = float(fdtri(freedom, points - 1, upper))

    # Functions of 1/F rather than of F, so that no noise at all is an ordinary case.
    def single(ratio: float) -> float:
        return max(0.0, (1 - ratio) / (1 + (replicates - 1) * ratio))

    def mean(ratio: float) -> float:
        return max(0.0, 1 - ratio)

    # Means that do not differ at all say nothing but noise: F as small as it counts, which is 1.
    inverse = noise / between if between > 0 else max(1.0, f_high)
    low, high = inverse * f_low, inverse / f_high
    return Intraclass(
        single=Estimate(single(inverse), single(low), single(high)),
        mean=Estimate(mean(inverse), mean(low), mean(high)),
    )
