"""The inverse of a damped symmetric matrix, and what its spectrum says about it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh
from torch import Tensor

NegativeCurvature = Literal["keep", "clip", "absolute", "error"]

EIGEN_LIMIT = 1024
"""Largest matrix that is diagonalized unless it must be: factors cost a fraction of that."""

_LANCZOS_TOLERANCE = 1e-6


@dataclass(frozen=True)
class Ends:
    """The ends of a spectrum, damping not included, and how many of its values are negative."""

    top: float
    bottom: float
    negative: int


class Inverse:
    """(C + damping I)^-1 of a dense symmetric matrix C.

    Negative eigenvalues of C are kept, set to 0 (`clip`), or made positive (`absolute`) before
    damping is added; `error` is the caller's to raise. A small matrix is diagonalized, a large one
    factored: by Cholesky where that is possible, else by LU.
    """

    def __init__(self, matrix: Tensor, damping: float, policy: NegativeCurvature) -> None:
        self._matrix, self._damping = matrix, damping
        self._bent = policy in ("clip", "absolute")
        if self._bent or len(matrix) <= EIGEN_LIMIT:
            self._diagonalize(policy)
        else:
            self._factor()

    def _diagonalize(self, policy: NegativeCurvature) -> None:
        values, self._vectors = torch.linalg.eigh(self._matrix)
        self.ends = Ends(float(values[-1]), float(values[0]), int((values < 0).sum()))
        if policy == "clip":
            values = values.clamp(min=0)
        elif policy == "absolute":
            values = values.abs()
        self._values: Tensor | None = values + self._damping
        size = self._values.abs()
        self.condition = float(size.max() / size.min())

    def _factor(self) -> None:
        self._values = None
        damped = self._matrix.clone()
        damped.diagonal().add_(self._damping)
        self._cholesky, failed = torch.linalg.cholesky_ex(damped)
        self._definite = int(failed) == 0
        if not self._definite:
            self._lu = torch.linalg.lu_factor(damped)
        top, bottom = self._extreme("LA"), self._extreme("SA")
        self.ends = Ends(top, bottom, 0 if bottom >= 0 else _negatives(self._matrix))
        values = [abs(top + self._damping), abs(bottom + self._damping), self._nearest_to_zero()]
        self.condition = max(values) / min(values) if min(values) else float("inf")

    def solve(self, rhs: Tensor) -> Tensor:
        """Returns the inverse times each row of `rhs` (T, P); infinite where it does not exist."""
        if self._values is not None:
            rotated: Tensor = (rhs @ self._vectors) / self._values
            return torch.matmul(rotated, self._vectors.T)
        if self._definite:
            solved: Tensor = torch.cholesky_solve(rhs.T, self._cholesky)
        else:
            solved = torch.linalg.lu_solve(*self._lu, rhs.T)
        return solved.T

    def residual(self, rhs: Tensor, solution: Tensor) -> Tensor | None:
        """Returns |rhs - (C + damping I) x| / |rhs| of each row; None where C was bent."""
        if self._bent:
            return None
        left = rhs - solution @ self._matrix - self._damping * solution
        return norm_ratios(left, rhs)

    def _extreme(self, which: Literal["LA", "SA"]) -> float:
        if which == "SA" and self._definite:
            # The smallest of a definite matrix is the largest of its inverse, found in few steps.
            return 1 / self._lanczos(self._solve_one, "LA") - self._damping
        return self._lanczos(self._product_one, which)

    def _nearest_to_zero(self) -> float:
        """Returns the smallest size of an eigenvalue of the damped matrix."""
        return 1 / abs(self._lanczos(self._solve_one, "LM"))

    def _product_one(self, vector: Tensor) -> Tensor:
        return self._matrix @ vector

    def _solve_one(self, vector: Tensor) -> Tensor:
        return self.solve(vector.unsqueeze(0))[0]

    def _lanczos(
        self, product: Callable[[Tensor], Tensor], which: Literal["LA", "SA", "LM"]
    ) -> float:
        size, like = len(self._matrix), self._matrix

        def matvec(vector: NDArray[np.float64]) -> NDArray[np.float64]:
            moved = product(torch.as_tensor(vector.reshape(-1)).to(like))
            return np.asarray(moved.double().cpu().numpy())

        start = np.random.default_rng(0).standard_normal(size)
        operator: Any = LinearOperator((size, size), matvec=matvec, dtype=np.float64)
        try:
            found = eigsh(
                operator,
                k=1,
                which=which,
                v0=start,
                tol=_LANCZOS_TOLERANCE,
                return_eigenvectors=False,
            )
        except ArpackNoConvergence:
            values = torch.linalg.eigvalsh(self._matrix)
            return float(values[0] if which == "SA" else values[-1])
        return float(found[0])


def norm_ratios(left: Tensor, rhs: Tensor) -> Tensor:
    """Returns |left| / |rhs| of each row, (T,); 0 where both are 0."""
    floor = torch.finfo(rhs.dtype).tiny
    ratios: Tensor = left.norm(dim=1) / rhs.norm(dim=1).clamp(min=floor)
    return ratios


def _negatives(matrix: Tensor) -> int:
    """Returns the number of negative eigenvalues, by Sylvester's law of inertia."""
    factor, pivots = torch.linalg.ldl_factor(matrix)
    single = pivots > 0
    # A 2 x 2 pivot is indefinite: one of its eigenvalues is negative.
    return int((factor.diagonal()[single] < 0).sum()) + int((~single).sum()) // 2
