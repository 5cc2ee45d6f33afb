"""The spectrum of an objective's curvature: all of it while it is small, else what Lanczos sees."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh

from fragility.errors import MethodFailure
from fragility.identity import derive_seed
from fragility.numerics.curvature import Curvature, CurvatureMatrix
from fragility.numerics.decrement import NewtonStep, dense_step, krylov_step
from fragility.numerics.lanczos import krylov_space, normal_vectors
from fragility.numerics.network import ParameterSet, parameter_words
from fragility.numerics.quadrature import (
    Quadrature,
    complete_quadrature,
    lanczos_quadrature,
    random_signs,
)
from fragility.numerics.trained import TrainedModel

DENSE_LIMIT = 3000
"""Largest number of parameters whose curvature is written out."""

LANCZOS_BYTES = 3 * 2**30
"""Most memory of the vectors that Lanczos keeps."""


@dataclass(frozen=True)
class Ends:
    """What is known of a spectrum's sizes, damping not included.

    `values` are eigenvalues, or Ritz values with the distance within which each has an eigenvalue.
    """

    values: NDArray[np.float64]
    within: NDArray[np.float64]


class Spectrum:
    """The spectrum of a curvature of the mean loss, with the penalty or without it.

    Of the Hessian of all parameters, unless said; `of` gives that of another curvature, computed
    once for all who ask. `trained_in` is the precision in which the model was trained.
    """

    def __init__(
        self,
        model: TrainedModel,
        parameters: ParameterSet = "all",
        curvature: Curvature = "hessian",
        trained_in: torch.dtype = torch.float64,
    ) -> None:
        self.trained_in = trained_in
        self.parameters, self.curvature = parameters, curvature
        self.layout = model.network.select(parameters)
        self._model = model
        # A method's cache would outlive the spectrum.
        self._others = cache(lambda p, c: Spectrum(model, p, c, trained_in))
        self._quadratures = cache(self._probed)
        self._values: dict[bool, NDArray[np.float64]] = {}

    def of(self, parameters: ParameterSet, curvature: Curvature) -> Spectrum:
        """Returns the spectrum of another curvature, or of some of the parameters.

        Raises:
            MethodFailure: the model has no such parameters.
        """
        if (parameters, curvature) == (self.parameters, self.curvature):
            return self
        found: Spectrum = self._others(parameters, curvature)
        if found.size == 0:
            raise MethodFailure(
                f"no parameter of the model matches `{parameter_words(parameters)}`."
            )
        return found

    @property
    def size(self) -> int:
        """Number of parameters P."""
        return self.layout.size

    @property
    def dense(self) -> bool:
        """Whether all eigenvalues are known, or only what Lanczos sees of them."""
        return self.size <= DENSE_LIMIT

    def matrix(self, includes_regularization: bool) -> CurvatureMatrix:
        """Returns the matrix itself."""
        return CurvatureMatrix(self._model, self.layout, self.curvature, includes_regularization)

    @cached_property
    def _written_out(self) -> torch.Tensor:
        matrix = self.matrix(False).dense()
        if not bool(torch.isfinite(matrix).all()):
            what = "Hessian" if self.curvature == "hessian" else "curvature"
            raise MethodFailure(f"the {what} is not finite: the trained model has diverged.")
        return matrix

    def _dense(self, includes_regularization: bool) -> torch.Tensor:
        return self._written_out + torch.diag(self.matrix(includes_regularization).decay)

    def values(self, includes_regularization: bool) -> NDArray[np.float64]:
        """Returns all eigenvalues (P,), ascending, of a matrix that is written out."""
        if includes_regularization not in self._values:
            matrix = self._dense(includes_regularization)
            found = torch.linalg.eigvalsh(matrix).cpu().numpy()
            self._values[includes_regularization] = found
        return self._values[includes_regularization]

    def rounding(self, includes_regularization: bool) -> float:
        """Returns the size below which an eigenvalue of the dense matrix is 0 to rounding."""
        values = self.values(includes_regularization)
        return float(np.finfo(np.float64).eps * len(values) * np.abs(values).max())

    def end(self, which: str, includes_regularization: bool) -> float:
        """Returns the `top` or `bottom` eigenvalue.

        Raises:
            MethodFailure: Lanczos did not converge.
        """
        if self.dense:
            values = self.values(includes_regularization)
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
                f"{DENSE_LIMIT} parameters at most; this model has {self.size}."
            )
        values = self.values(includes_regularization)
        return int((values < -self.rounding(includes_regularization)).sum())

    def ends(self, includes_regularization: bool, steps: int) -> Ends:
        """Returns all eigenvalues, or of a large matrix Ritz values with how far off they may be.

        Raises:
            MethodFailure: the curvature is not finite.
        """
        if self.dense:
            values = self.values(includes_regularization)
            return Ends(values, np.full(len(values), self.rounding(includes_regularization)))
        self._refuse_large(steps + 1)
        like = self._model.vector(self.layout)
        draw = normal_vectors(derive_seed(0, "spectrum ends"), like)
        matrix = self.matrix(includes_regularization).product
        space = krylov_space(matrix, min(steps + 1, self.size), draw)
        ritz, vectors = torch.linalg.eigh(space.matrix[:-1, :-1])
        within = space.matrix[-2, -1].abs() * vectors[-1].abs()
        return Ends(ritz.cpu().numpy(), within.cpu().numpy())

    def quadrature(self, includes_regularization: bool, probes: int, steps: int) -> Quadrature:
        """Returns all eigenvalues, or of a large matrix what `probes` of so many `steps` see.

        Raises:
            MethodFailure: the curvature is not finite.
        """
        if self.dense:
            return complete_quadrature(self.values(includes_regularization))
        found: Quadrature = self._quadratures(includes_regularization, probes, steps)
        return found

    def _probed(self, includes_regularization: bool, probes: int, steps: int) -> Quadrature:
        self._refuse_large(steps)
        draw = random_signs(derive_seed(0, "spectrum probes"), self._model.vector(self.layout))
        product = self.matrix(includes_regularization).product
        return lanczos_quadrature(product, self.size, probes, steps, draw)

    def newton_step(self, gradient: torch.Tensor, steps: int) -> NewtonStep:
        """Returns Newton's step of the penalized objective for its gradient (P,).

        Raises:
            MethodFailure: the curvature is not finite.
        """
        if self.dense:
            values = torch.from_numpy(self.values(True)).to(gradient)
            return dense_step(self._dense(True), gradient, values, self.rounding(True))
        self._refuse_large(steps + 1)
        return krylov_step(self.matrix(True).product, gradient, steps)

    def _refuse_large(self, vectors: int) -> None:
        needed = vectors * self.size * 8
        if needed > LANCZOS_BYTES:
            raise MethodFailure(
                f"Lanczos would hold {vectors:,} vectors of {self.size:,} parameters, "
                f"{needed / 2**30:.1f} GiB; the limit is {LANCZOS_BYTES / 2**30:.0f} GiB.",
                "Give fewer `steps`, or fewer `parameters`.",
            )

    def _lanczos(self, which: Literal["LA", "SA"], includes_regularization: bool) -> float:
        size = self.size
        matrix = self.matrix(includes_regularization)

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
