"""The area under the ROC curve: how well values tell one sort of examples from the other."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import ndtri

from fragility.statistics.correlations import midranks
from fragility.statistics.estimate import CONFIDENCE, Array, Estimate, missing, not_finite

_NEAR = 1e-9


def area_under_curve(
    values: Array, positive: NDArray[np.bool_], confidence: float = CONFIDENCE
) -> Estimate:
    """Returns the probability that a positive example has the larger value; ties count half.

    0.5 is chance, whatever the share of positive examples. The interval holds the areas from which
    the found one is not too far, in standard deviations of Hanley and McNeil (1982) at that area
    with the mean number of examples a class: it does not collapse at 0 and 1. With 10 positive
    examples and an area near 0.98 it held 91 % of simulated areas, elsewhere 95 to 98 %.

    Args:
        values: shape (n,).
        positive: shape (n,).
        confidence: of the interval.

    Source: R. G. Newcombe, Statistics in Medicine 25 (2006) 559-573, method 5.
    """
    if reason := not_finite("values", values):
        return missing(reason)
    hits, n = int(positive.sum()), positive.size
    if hits in (0, n):
        return missing(f"{hits} of {n} examples are positive: there is nothing to tell apart")
    below = midranks(values, np.ones((1, n)))[0]
    area = float((below[positive].sum() - hits**2 / 2) / (hits * (n - hits)))
    z = float(ndtri(0.5 + confidence / 2))

    def beyond(theta: float) -> float:
        return (area - theta) ** 2 - (z * _deviation(theta, hits, n - hits)) ** 2

    # The deviation is 0 at both ends, so that the area itself solves the equation there.
    low = 0.0 if area == 0 else float(brentq(beyond, 0, area - _NEAR))
    high = 1.0 if area == 1 else float(brentq(beyond, area + _NEAR, 1))
    return Estimate(area, low, high)


def _deviation(area: float, hits: int, others: int) -> float:
    more = (hits + others) / 2 - 1
    shape = 1 + more * ((1 - area) / (2 - area) + area / (1 + area))
    return math.sqrt(area * (1 - area) * shape / (hits * others))
