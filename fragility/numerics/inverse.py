"""The inverse of a damped symmetric matrix, and what its spectrum says about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

NegativeCurvature = Literal["keep", "clip", "absolute", "error"]

EIGEN_LIMIT = 1024
"""Largest matrix whose eigenvectors are computed unless they must be: a factor costs less."""


@dataclass(frozen=True)
class Ends:
    """The ends of a spectrum, damping not included, and how many values are truly negative.

    Those that are within rounding of zero do not count.
    """

    top: float
    bottom: float
    negative: int


class Inverse:
    """(C + damping I)^-1 of a dense symmetric matrix C.

    Negative eigenvalues of C are kept, set to 0 (`clip`), or made positive (`absolute`) before
    damping is added; `error` is the caller's to raise. A small matrix is diagonalized; of a large
    one only the eigenvalues are computed, and it is factored: by Cholesky where that is possible,
    else by LU. `eigenvalues` (P,) are those of C itself, ascending.
    """

    def __init__(self, matrix: Tensor, damping: float, policy: NegativeCurvature) -> None:
        self._matrix, self._damping = matrix, damping
        self._bent = policy in ("clip", "absolute")
        self._vectors: Tensor | None = None
        if self._bent or len(matrix) <= EIGEN_LIMIT:
            values, self._vectors = torch.linalg.eigh(matrix)
        else:
            values = torch.linalg.eigvalsh(matrix)
            self._factor()
        rounding = len(matrix) * torch.finfo(matrix.dtype).eps * float(values.abs().max())
        negative = int((values < -rounding).sum())
        self.eigenvalues = values
        self.ends = Ends(float(values[-1]), float(values[0]), negative)
        if policy == "clip":
            values = values.clamp(min=0)
        elif policy == "absolute":
            values = values.abs()
        self._values = values + damping
        size = self._values.abs()
        self.condition = float(size.max() / size.min())

    def _factor(self) -> None:
        damped = self._matrix.clone()
        damped.diagonal().add_(self._damping)
        self._cholesky, failed = torch.linalg.cholesky_ex(damped)
        self._definite = int(failed) == 0
        if not self._definite:
            self._lu = torch.linalg.lu_factor_ex(damped)[:2]

    def solve(self, rhs: Tensor) -> Tensor:
        """Returns the inverse times each row of `rhs` (T, P); infinite where it does not exist."""
        if self._vectors is not None:
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
        return norm_ratios(rhs - solution @ self._matrix - self._damping * solution, rhs)


def norm_ratios(left: Tensor, rhs: Tensor) -> Tensor:
    """Returns |left| / |rhs| of each row, (T,); 0 where both are 0."""
    floor = torch.finfo(rhs.dtype).tiny
    ratios: Tensor = left.norm(dim=1) / rhs.norm(dim=1).clamp(min=floor)
    return ratios
