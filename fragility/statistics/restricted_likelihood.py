"""The restricted likelihood of a linear model with crossed random intercepts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from fragility.statistics.estimate import Array

Codes = NDArray[np.intp]

STARTS = (0.0, 0.3, 1.0, 3.0)
"""Ratios of standard deviations that are tried before the best of them is refined."""

VANISHING = 1e-4
"""A ratio of standard deviations below this is zero: the variance is 1e-8 of the residual's."""

MOST = 1e4
"""Above this ratio of standard deviations there is no residual."""


@dataclass(frozen=True)
class Solution:
    """Generalized least squares for given variance ratios.

    `coefficients` (p,); `inverse` (p, p), which times the residual variance is their covariance;
    `residual`, the weighted sum of squares; `log_determinant` of H and of X'H^-1 X together.
    """

    coefficients: Array
    inverse: Array
    residual: float
    log_determinant: float


class RestrictedLikelihood:
    """y = X b + sum_f Z_f u_f + e, where e has variance s and u_f has variance gamma_f s.

    H = I + sum_f gamma_f Z_f Z_f'. Rows are summed by level once. An evaluation then costs the cube
    of the number of levels of all factors but the largest, whose block is diagonal.

    Source: D. Bates et al., J. Stat. Softw. 67(1) (2015), section 3, for the profiled criterion.
    """

    rows: int
    columns: int

    def __init__(self, y: Array, x: Array, factors: Sequence[Codes]) -> None:
        self.rows, self.columns = x.shape
        sizes = [int(codes.max()) + 1 for codes in factors]
        self._order = [int(f) for f in np.argsort(sizes, kind="stable")[::-1]]
        both = np.column_stack([x, y])
        self._moments = both.T @ both
        ordered = [(factors[f], sizes[f]) for f in self._order]
        sums = [_summed(codes, size, both) for codes, size in ordered]
        shared = [[_shared(a, b) for b in ordered[1:]] for a in ordered]
        none = [np.zeros((rows, 0)) for rows in (ordered[0][1], 0)]
        self._levels = np.array([size for _, size in ordered[1:]], dtype=np.intp)
        self._counts = np.bincount(ordered[0][0], minlength=ordered[0][1]).astype(np.float64)
        self._first = sums[0]
        self._rest = np.concatenate([np.zeros((0, both.shape[1])), *sums[1:]])
        self._across = np.hstack([none[0], *shared[0]])
        self._among = np.vstack([np.hstack(row) for row in shared[1:]]) if shared[1:] else none[1]

    def solve(self, gamma: Array) -> Solution:
        """Returns the coefficients and sums at variance ratios `gamma`, in the factors' order."""
        first, *others = np.sqrt(gamma[self._order])
        rest = np.repeat(np.asarray(others, dtype=np.float64), self._levels)
        diagonal = 1 + first**2 * self._counts
        across = first * self._across * rest
        u, v = first * self._first, rest[:, None] * self._rest
        corner = np.eye(len(rest)) + rest[:, None] * self._among * rest
        corner -= across.T @ (across / diagonal[:, None])
        v -= across.T @ (u / diagonal[:, None])
        table = self._moments - u.T @ (u / diagonal[:, None]) - v.T @ np.linalg.solve(corner, v)
        information, right = table[:-1, :-1], table[:-1, -1]
        inverse = np.linalg.inv(information)
        coefficients = inverse @ right
        determinants = [np.linalg.slogdet(matrix)[1] for matrix in (corner, information)]
        return Solution(
            coefficients=coefficients,
            inverse=inverse,
            residual=max(0.0, float(table[-1, -1] - right @ coefficients)),
            log_determinant=float(np.sum(np.log(diagonal))) + float(sum(determinants)),
        )

    def deviance(self, gamma: Array, variance: float) -> float:
        """Returns -2 log restricted likelihood, up to a constant, at a residual variance."""
        found = self.solve(gamma)
        logarithms = (self.rows - self.columns) * math.log(variance) + found.log_determinant
        return logarithms + found.residual / variance

    def profiled(self, ratios: Array) -> float:
        """Returns the deviance at the best residual variance, for ratios sqrt(gamma)."""
        found = self.solve(np.square(ratios))
        freedom: int = self.rows - self.columns
        return found.log_determinant + freedom * math.log(max(found.residual, 1e-300))

    def best(self) -> Array | None:
        """Returns the variance ratios of greatest likelihood, None when there is no residual."""
        count = len(self._order)
        grid = np.stack(np.meshgrid(*[STARTS] * count), axis=-1).reshape(-1, count)
        start = min(grid, key=self.profiled)
        simplex = np.vstack([start, *(start + 0.2 * (1 + start) * unit for unit in np.eye(count))])
        found = minimize(
            self._even,
            start,
            method="Nelder-Mead",
            options={"initial_simplex": simplex, "xatol": 1e-8, "fatol": 1e-10, "maxiter": 5000},
        )
        size = np.abs(found.x)
        ratios = np.where(size < VANISHING, 0.0, size)
        return None if ratios.max() > MOST else np.asarray(np.square(ratios))

    def _even(self, ratios: Array) -> float:
        """Returns the criterion at ratios of any sign: a bound at 0 would flatten a simplex."""
        return self.profiled(np.minimum(np.abs(ratios), 10 * MOST))


def _summed(codes: Codes, size: int, columns: Array) -> Array:
    """Returns the sums (size, columns) over the rows of each level."""
    return np.stack([np.bincount(codes, weights=column, minlength=size) for column in columns.T], 1)


def _shared(a: tuple[Codes, int], b: tuple[Codes, int]) -> Array:
    """Returns how many rows each level of one factor shares with each of another."""
    counts = np.bincount(a[0] * b[1] + b[0], minlength=a[1] * b[1])
    return counts.reshape(a[1], b[1]).astype(np.float64)
