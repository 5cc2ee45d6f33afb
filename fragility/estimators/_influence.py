"""What influence functions share: (1/n) grad f_t^T (C + damping I)^-1 grad l_i.

They differ in how the damped curvature is inverted on the test points' gradients; the products
with the training points' gradients follow one way for all.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, NonNegativeFloat, PositiveFloat
from torch import Tensor

from fragility.errors import MethodFailure
from fragility.estimators.base import Estimate, ModelEstimator
from fragility.numerics.curvature import Curvature, CurvatureMatrix
from fragility.numerics.gradients import gradient_products, per_example_gradients
from fragility.numerics.inverse import NegativeCurvature, norm_ratios
from fragility.numerics.reduction import on_features
from fragility.numerics.trained import TrainedModel


class RelativeDamping(BaseModel):
    """Damping as a multiple of the curvature's mean eigenvalue."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    relative: PositiveFloat
    """Multiple of the mean eigenvalue: trace over P, of the Gauss-Newton matrix for a Hessian."""


@dataclass(frozen=True)
class Solution:
    """The damped inverse times the test gradients, (T, P), and facts about how it came about."""

    vectors: Tensor
    diagnostics: Mapping[str, float] = field(default_factory=dict)
    by_test_point: Mapping[str, Tensor] = field(default_factory=dict)


class Influence(ModelEstimator):
    """An influence function; each kind inverts the curvature in its own way."""

    curvature: Curvature = "hessian"
    """The objective's Hessian; its Gauss-Newton part, which has no negative eigenvalue; or the
    second moment of the examples' gradients, which vanishes as a model fits its examples."""
    damping: NonNegativeFloat | RelativeDamping = 0.0
    """Added to every eigenvalue: a number in the unit of the Hessian of the mean loss, or
    `{relative: x}`, a multiple of the mean eigenvalue."""
    negative_curvature: NegativeCurvature = "keep"
    """Negative eigenvalues are inverted as they are (`keep`), set to 0 (`clip`), made positive
    (`absolute`), or refused (`error`)."""
    curvature_includes_regularization: bool = True
    """Whether the penalty's second derivative is part of the curvature."""
    dtype: Literal["float32", "float64"] = "float64"
    """Precision of gradients, curvature and inverse."""

    @abstractmethod
    def solve(self, matrix: CurvatureMatrix, damping: float, rhs: Tensor) -> Solution:
        """Returns (C + damping I)^-1 times each row of `rhs` (T, P), as well as it can.

        Raises:
            MethodFailure: there is no answer, with what to try.
        """

    def estimate(self, model: TrainedModel, test_points: Tensor) -> Estimate:
        """Returns the scores of all training points, with how well the systems were solved."""
        layout = model.network.select(self.parameters)
        model = on_features(model, layout)
        model = model.to(torch.float64 if self.dtype == "float64" else torch.float32)
        matrix = CurvatureMatrix(
            model, layout, self.curvature, self.curvature_includes_regularization
        )
        damping = absolute_damping(self.damping, matrix)
        rhs = per_example_gradients(
            model, layout, model.test_inputs[test_points], model.test_targets[test_points]
        )
        if not bool(torch.isfinite(rhs).all()):
            raise diverged_model()
        solution = self.solve(matrix, damping, rhs)
        scores = gradient_products(model, layout, solution.vectors) / model.n
        if not bool(torch.isfinite(scores).all()):
            raise MethodFailure(
                "the scores are not finite: the damped curvature cannot be inverted.",
                "Give a `damping` above 0, or add weight decay.",
            )
        return Estimate(
            scores, {"damping": damping, **solution.diagnostics}, solution.by_test_point
        )


def absolute_damping(damping: float | RelativeDamping, matrix: CurvatureMatrix) -> float:
    """Returns damping in the unit of the curvature."""
    if isinstance(damping, RelativeDamping):
        return damping.relative * matrix.mean_eigenvalue
    return damping


def diverged_model() -> MethodFailure:
    """Returns the failure of a model whose gradients are not finite."""
    return MethodFailure(
        "the gradients of the test points are not finite: the trained model has diverged.",
        "Lower the learning rate, or add weight decay.",
    )


def relative_residuals(
    matrix: CurvatureMatrix, damping: float, rhs: Tensor, vectors: Tensor
) -> Tensor:
    """Returns |b - (C + damping I) x| / |b| of each row, (T,); one more product."""
    left = rhs - matrix.product(vectors) - damping * vectors
    return norm_ratios(left, rhs)
