"""p-values of a family of tests, corrected for its size."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fragility.statistics.estimate import Array


def holm(p_values: Sequence[float] | Array) -> Array:
    """Returns p-values that hold the chance of any false rejection, under any dependence.

    Source: S. Holm, Scand. J. Stat. 6 (1979) 65-70.
    """
    p = _checked(p_values)
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * np.arange(p.size, 0, -1))
    return _unsorted(stepped, order)


def benjamini_hochberg(p_values: Sequence[float] | Array) -> Array:
    """Returns p-values that hold the expected share of false rejections among all rejections.

    For independent tests, or positively dependent ones.

    Source: Y. Benjamini, Y. Hochberg, J. R. Stat. Soc. B 57 (1995) 289-300.
    """
    p = _checked(p_values)
    order = np.argsort(p, kind="stable")[::-1]
    stepped = np.minimum.accumulate(p[order] * p.size / np.arange(p.size, 0, -1))
    return _unsorted(stepped, order)


def _checked(p_values: Sequence[float] | Array) -> Array:
    p = np.asarray(p_values, dtype=np.float64)
    if p.ndim != 1 or not bool(np.all((p >= 0) & (p <= 1))):
        raise ValueError("p-values are numbers between 0 and 1, in one row")
    return p


def _unsorted(stepped: Array, order: np.ndarray[tuple[int], np.dtype[np.intp]]) -> Array:
    result = np.empty_like(stepped)
    result[order] = np.minimum(stepped, 1.0)
    return result
