"""Influence functions with the dense curvature matrix."""

from __future__ import annotations

from math import isqrt
from typing import ClassVar, Literal

import torch
from pydantic import model_validator
from torch import Tensor

from fragility.errors import MethodFailure
from fragility.estimators._departures import Departures
from fragility.estimators._influence import Influence, Solution
from fragility.numerics.autodiff import products_by_autodiff
from fragility.numerics.curvature import CurvatureMatrix
from fragility.numerics.gradients import per_example_gradients
from fragility.numerics.inverse import Inverse

DENSE_BYTES = 3 * 2**30
"""Most memory of the matrix, its factor, and one more matrix of that size."""


class ExactDepartures(Departures):
    """Departures of estimators that invert the curvature as a matrix."""

    added: ClassVar[frozenset[str]] = Departures.added | {"summation"}

    summation: Literal["whole", "by_example"] = "whole"
    """`by_example`: each example's loss is differentiated twice and the matrices are added one
    after another, as a loop over the examples does; where their sum is singular, the rounding of
    both decides."""
    inverse: Literal["factored", "written_out", "times_train_gradients"] = "factored"
    """`written_out`: the inverse is computed as a matrix by LU, as `torch.inverse` does, and
    multiplied by the gradients; of a matrix that is singular but for rounding it is rounding.
    `times_train_gradients`: so it is, and multiplied by each training example's gradient before
    that of the test point, so that rounding is not common to all of its scores."""


class Exact(Influence):
    """Influence functions, with the curvature matrix written out and inverted.

    The score is (1/n) grad f_t^T (H + damping I)^-1 grad l_i, with H the Hessian (or another
    curvature) of the objective, its regularization included. An indefinite H is inverted as it is
    unless `negative_curvature` says otherwise: its negative eigenvalues are counted and stored
    beside the scores as diagnostics, as is, up to 4,096 parameters, the whole spectrum.

    Valid when: the model is at a minimum of its objective and H + damping I is positive definite.
    Cost: for P parameters P^2 numbers of memory and P^3 / 3 operations (10 P^3 when the matrix is
        diagonalized: up to 1,024 parameters, and for `clip` and `absolute`); H itself takes about
        n P^2 operations for affine layers, else 2 P gradients of all examples. Up to 11,585
        parameters in float64, 16,384 in float32.
    Reference: Koh and Liang 2017, equation 2; Cook and Weisberg 1982.
    """

    kind: Literal["exact"] = "exact"
    departures: ExactDepartures = ExactDepartures()
    """What published code does otherwise, for reproducing it; none unless named."""

    @model_validator(mode="after")
    def _the_inverse_has_no_eigenvalues(self) -> Exact:
        bent = self.negative_curvature in ("clip", "absolute")
        if bent and self.departures.inverse != "factored":
            raise ValueError(
                f"`negative_curvature: {self.negative_curvature}` needs eigenvalues, which "
                f"`inverse: {self.departures.inverse}` does not use; use `keep` or `error`"
            )
        return self

    @model_validator(mode="after")
    def _terms_are_those_of_the_hessian(self) -> Exact:
        if self.curvature != "hessian" and self.departures.summation == "by_example":
            raise ValueError(
                f"`curvature: {self.curvature}` has no `summation: by_example`, which is of the "
                "Hessian; drop one of the keys"
            )
        return self

    def solve(self, matrix: CurvatureMatrix, damping: float, rhs: Tensor) -> Solution:
        """Returns solutions to rounding error, with the spectrum's ends and its negative count."""
        limit = dense_limit(rhs.dtype)
        if matrix.size > limit:
            raise MethodFailure(
                f"`exact` writes out the curvature of at most {limit:,} parameters in "
                f"{self.dtype}; here are {matrix.size:,}.",
                "Use `auto` or `cg`, or fewer `parameters`.",
            )
        by_example = self.departures.summation == "by_example"
        dense = _by_example(matrix) if by_example else matrix.dense()
        if not bool(torch.isfinite(dense).all()):
            raise MethodFailure(
                "the curvature matrix is not finite: the trained model has diverged.",
                "Lower the learning rate, or add weight decay.",
            )
        inverse = Inverse(dense, damping, self.negative_curvature)
        ends = inverse.ends
        if self.negative_curvature == "error" and ends.negative:
            raise MethodFailure(
                f"{ends.negative:,} of {matrix.size:,} eigenvalues of the curvature are negative, "
                f"the lowest {ends.bottom:.2g}: the model is not at a minimum.",
                "Train longer, or use `curvature: gauss_newton` or another `negative_curvature`.",
            )
        products = None
        if self.departures.inverse == "factored":
            vectors = inverse.solve(rhs)
        else:
            by_lu = _by_lu(dense, damping)
            vectors = rhs @ by_lu
            if self.departures.inverse == "times_train_gradients":
                model = matrix.model
                gradients = per_example_gradients(model, matrix.layout, model.inputs, model.targets)
                products = rhs @ (by_lu @ gradients.T)
        residual = inverse.residual(rhs, vectors)
        return Solution(
            vectors,
            {
                "curvature_top_eigenvalue": ends.top,
                "curvature_bottom_eigenvalue": ends.bottom,
                "curvature_negative_eigenvalues": ends.negative,
                "curvature_condition_number": inverse.condition,
            },
            {} if residual is None else {"relative_residual": residual},
            inverse.eigenvalues,
            products,
        )


def _by_example(matrix: CurvatureMatrix) -> Tensor:
    """Returns the Hessian (P, P): each example's loss differentiated twice, then added."""
    model = matrix.model
    identity = torch.eye(matrix.size, dtype=matrix.decay.dtype, device=matrix.decay.device)
    total = torch.zeros_like(identity)
    for example in zip(torch.split(model.inputs, 1), torch.split(model.targets, 1), strict=True):
        total += products_by_autodiff(model, matrix.layout, identity, *example, gauss_newton=False)
    total /= model.n
    total.diagonal().add_(matrix.decay)
    return total


def _by_lu(matrix: Tensor, damping: float) -> Tensor:
    """Returns the inverse of the damped matrix, written out.

    Raises:
        MethodFailure: a pivot is exactly 0.
    """
    damped = matrix.clone()
    damped.diagonal().add_(damping)
    inverse: Tensor
    inverse, failed = torch.linalg.inv_ex(damped)
    if int(failed):
        raise MethodFailure(
            "the curvature is singular: a pivot of its LU factors is exactly 0.",
            "Give a `damping` above 0, or drop `inverse` from `departures`.",
        )
    return inverse


def dense_limit(dtype: torch.dtype) -> int:
    """Returns the most parameters whose curvature is written out."""
    return isqrt(DENSE_BYTES // (3 * dtype.itemsize))
