"""Eigenvalues of the Hessian of all parameters: all while it is small, its ends by Lanczos."""

from __future__ import annotations

from functools import cached_property
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh

from fragility.errors import MethodFailure
from fragility.numerics.curvature import CurvatureMatrix
from fragility.numerics.trained import TrainedModel

DENSE_LIMIT = 1500
"""Largest number of parameters whose Hessian is written out."""


class Spectrum:
    """The spectrum of the Hessian of the mean loss, with the penalty or without it."""

    def __init__(self, model: TrainedModel) -> None:
        self._model = model
        self._layout = model.network.layout

    @property
    def dense(self) -> bool:
        """Whether all eigenvalues are known, or only the ends."""
        return self._layout.size <= DENSE_LIMIT

    @cached_property
    def _hessian(self) -> torch.Tensor:
        matrix = CurvatureMatrix(self._model, self._layout, includes_regularization=False).dense()
        if not bool(torch.isfinite(matrix).all()):
            raise MethodFailure("the Hessian is not finite: the trained model has diverged.")
        return matrix

    @cached_property
    def _values(self) -> dict[bool, NDArray[np.float64]]:
        decay = torch.diag(self._model.decay_vector(self._layout))
        return {
            penalized: torch.linalg.eigvalsh(self._hessian + decay * penalized).cpu().numpy()
            for penalized in (False, True)
        }

    def end(self, which: str, includes_regularization: bool) -> float:
        """Returns the `top` or `bottom` eigenvalue.

        Raises:
            MethodFailure: Lanczos did not converge.
        """
        if self.dense:
            values = self._values[includes_regularization]
            return float(values[-1] if which == "top" else values[0])
        return self._lanczos("LA" if which == "top" else "SA", includes_regularization)

    def negative(self, includes_regularization: bool) -> int:
        """Returns how many eigenvalues are below minus the rounding error of the largest.

        Raises:
            MethodFailure: the model has too many parameters for the dense Hessian.
        """
        if not self.dense:
            raise MethodFailure(
                f"counting negative eigenvalues needs the dense Hessian, which is written out for "
                f"{DENSE_LIMIT} parameters at most; this model has {self._layout.size}."
            )
        values = self._values[includes_regularization]
        rounding = np.finfo(np.float64).eps * len(values) * float(np.abs(values).max())
        return int((values < -rounding).sum())

    def _lanczos(self, which: Literal["LA", "SA"], includes_regularization: bool) -> float:
        size = self._layout.size
        matrix = CurvatureMatrix(
            self._model, self._layout, includes_regularization=includes_regularization
        )

        def product(vector: NDArray[np.float64]) -> NDArray[np.float64]:
            rows = torch.as_tensor(vector.reshape(1, -1)).to(matrix.decay)
            return matrix.product(rows)[0].cpu().numpy()

        start = np.random.default_rng(0).standard_normal(size)
        operator: Any = LinearOperator((size, size), matvec=product, dtype=np.float64)
        try:
            found = eigsh(operator, k=1, which=which, v0=start, tol=1e-6, return_eigenvectors=False)
        except ArpackNoConvergence as error:
            raise MethodFailure(f"Lanczos did not converge: {error}.") from error
        return float(found[0])
