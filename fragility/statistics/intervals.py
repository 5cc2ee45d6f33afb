"""Intervals from bootstrap draws: percentile, BCa, and the level that makes them honest."""

from __future__ import annotations

import math

import numpy as np
from scipy.special import ndtr, ndtri, stdtrit

from fragility.statistics.estimate import Array


def percentile_interval(draws: Array, tail: float) -> tuple[float, float]:
    """Returns the `tail` and 1 - `tail` quantiles of the draws."""
    low, high = np.quantile(draws, [tail, 1 - tail])
    return float(low), float(high)


def bca_interval(
    draws: Array, value: float, acceleration: float, tail: float
) -> tuple[float, float]:
    """Returns the bias-corrected and accelerated interval of an estimate `value`.

    Draws that lie all on one side of the value say nothing about its bias, and none is corrected.

    Source: B. Efron, J. Am. Stat. Assoc. 82 (1987) 171-185.
    """
    below = (np.mean(draws < value) + np.mean(draws <= value)) / 2
    bias = float(ndtri(below)) if 0 < below < 1 else 0.0
    tails = bias + np.asarray(ndtri([tail, 1 - tail]))
    low, high = np.quantile(draws, ndtr(bias + tails / (1 - acceleration * tails)))
    return float(low), float(high)


def acceleration(influences: Array) -> float:
    """Returns the acceleration of BCa from the jackknife influences of all units.

    An influence is what a unit contributes to the estimate, (n-1)/n times the mean of the
    leave-one-out values minus the one without the unit; units of several axes stand side by side.
    """
    spread = float(np.sum(influences**2))
    return float(np.sum(influences**3)) / (6 * spread**1.5) if spread > 0 else 0.0


def expanded_tail(confidence: float, freedom: float, inflation: float) -> float:
    """Returns the tail probability at which quantiles of draws give an interval of `confidence`.

    For a normal estimate whose draws have 1/`inflation` times the standard error, the quantiles
    then lie a Student quantile of standard errors away. With draws of n units, inflation
    sqrt(n/(n-1)) and n - 1 degrees of freedom, this is the expanded percentile interval.

    Source: T. C. Hesterberg, Am. Stat. 69 (2015) 371-386, section 5.3.
    """
    quantile = float(stdtrit(freedom, (1 + confidence) / 2))
    return float(ndtr(-quantile * inflation)) if math.isfinite(quantile) else 0.0
