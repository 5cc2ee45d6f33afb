"""What influence functions share: (1/n) grad f_t^T (C + damping I)^-1 grad l_i.

They differ in how the damped curvature is inverted on the test points' gradients; the products
with the training points' gradients follow one way for all.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, NonNegativeFloat, PositiveFloat, model_validator
from torch import Tensor

from fragility.errors import MethodFailure
from fragility.estimators._departures import Departures
from fragility.estimators.base import Estimate, ModelEstimator
from fragility.numerics.curvature import Curvature, CurvatureMatrix, matrix_words
from fragility.numerics.gradients import (
    combined_gradients,
    gradient_products,
    gradients_at_tests,
)
from fragility.numerics.inverse import NegativeCurvature, norm_ratios
from fragility.numerics.quadrature import Eigenvalues
from fragility.numerics.reduction import on_features
from fragility.numerics.trained import TrainedModel

SPECTRUM_LIMIT = 4096
"""Most eigenvalues that are kept beside the scores."""


class RelativeDamping(BaseModel):
    """Damping as a multiple of the curvature's mean eigenvalue."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    relative: PositiveFloat
    """Multiple of the mean eigenvalue: trace over P, of the Gauss-Newton matrix for a Hessian."""


@dataclass(frozen=True)
class Solution:
    """The damped inverse times the test gradients, (T, P), and facts about how it came about.

    `eigenvalues` (P,) are all that the curvature has, where they are known; `products` (T, n) are
    those of the vectors with the training examples' gradients, where they were not made from them.
    """

    vectors: Tensor
    diagnostics: Mapping[str, float] = field(default_factory=dict)
    by_test_point: Mapping[str, Tensor] = field(default_factory=dict)
    eigenvalues: Tensor | None = None
    products: Tensor | None = None


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
    groups: Literal["sum", "second_order"] = "sum"
    """The score of a group that is removed together: the sum of its members' scores, or with the
    term of second order in which the group's own curvature is missing from the inverse."""
    dtype: Literal["float32", "float64"] = "float64"
    """Precision of gradients, curvature and inverse."""
    departures: Departures = Departures()
    """What published code does otherwise, for reproducing it; none unless named."""

    @model_validator(mode="after")
    def _departs_in_first_order(self) -> Influence:
        if self.groups == "second_order" and self.departures != type(self.departures)():
            raise ValueError("`groups: second_order` has no `departures`; drop one of the keys")
        return self

    @property
    def scores_groups(self) -> bool:
        """Whether groups have scores of second order."""
        return self.groups == "second_order"

    @abstractmethod
    def solve(self, matrix: CurvatureMatrix, damping: float, rhs: Tensor) -> Solution:
        """Returns (C + damping I)^-1 times each row of `rhs` (T, P), as well as it can.

        Raises:
            MethodFailure: there is no answer, with what to try.
        """

    def estimate(self, model: TrainedModel, test_points: Tensor) -> Estimate:
        """Returns the scores of all training points, with how well the systems were solved."""
        matrix, rhs = self._system(model, test_points)
        damping = absolute_damping(self.damping, matrix)
        departures = self.departures
        solution = self.solve(matrix, damping / departures.curvature_factor, rhs)
        products = solution.products
        if products is None:
            products = gradient_products(matrix.model, matrix.layout, solution.vectors)
        if departures.penalty_in_gradient:
            slope = matrix.model.penalty_gradient(matrix.layout)
            products = products + (solution.vectors @ slope).unsqueeze(1)
        scores = departures.placed(products * departures.unit(model.n), model)
        facts = self._facts(damping, rhs, solution)
        details = {"damping": self._matrix_words}
        spectrum = self._spectrum(solution)
        return Estimate(_finite(scores), facts, solution.by_test_point, details, spectrum)

    @property
    def _matrix_words(self) -> str:
        included = self.curvature_includes_regularization
        return matrix_words(self.curvature, self.parameters, included)

    def _facts(self, damping: float, rhs: Tensor, solution: Solution) -> dict[str, float]:
        epsilon = torch.finfo(rhs.dtype).eps
        return {"damping": damping, "machine_epsilon": epsilon, **solution.diagnostics}

    def _spectrum(self, solution: Solution) -> Eigenvalues | None:
        values = solution.eigenvalues
        if values is None or len(values) > SPECTRUM_LIMIT:
            return None
        found = values.double().cpu().numpy()
        return Eigenvalues(self._matrix_words, found, np.ones_like(found))

    def estimate_groups(
        self, models: Sequence[TrainedModel], test_points: Tensor, groups: Sequence[Tensor]
    ) -> Estimate:
        """Returns the scores of groups: sums, or of second order.

        A group U moves the minimum by d = (1/n) C^-1 g_U to first order, and by C^-1 (C_U / n) d
        more to second, g_U and C_U the sums of its members' gradients and curvatures (Basu et al.
        2020, section 4, whose factors of the fraction removed belong to a mean over what is left).
        Third derivatives of the loss, of the same order, are left out there and here.
        """
        if self.groups == "sum":
            return super().estimate_groups(models, test_points, groups)
        estimates = [self._second_order(model, test_points, groups) for model in models]
        scores = torch.stack([estimate.scores for estimate in estimates]).mean(dim=0)
        return replace(estimates[0], scores=scores)

    def _second_order(
        self, model: TrainedModel, test_points: Tensor, groups: Sequence[Tensor]
    ) -> Estimate:
        matrix, rhs = self._system(model, test_points)
        damping = absolute_damping(self.damping, matrix)
        small, layout = matrix.model, matrix.layout
        parts = [
            replace(small, inputs=small.inputs[group], targets=small.targets[group])
            for group in groups
        ]
        ones = [rhs.new_ones(1, part.n) for part in parts]
        pulls = torch.cat(
            [combined_gradients(part, layout, one) for part, one in zip(parts, ones, strict=True)]
        )
        solution = self.solve(matrix, damping, torch.cat([rhs, pulls / small.n]))
        back, moves = solution.vectors[: len(rhs)], solution.vectors[len(rhs) :]
        missing = torch.cat(
            [
                CurvatureMatrix(part, layout, self.curvature, False).product(move.unsqueeze(0))
                * (part.n / small.n)
                for part, move in zip(parts, moves, strict=True)
            ]
        )
        scores = rhs @ moves.T + back @ missing.T
        facts = self._facts(damping, rhs, solution)
        residuals = {name: value[: len(rhs)] for name, value in solution.by_test_point.items()}
        return Estimate(_finite(scores), facts, residuals, {"damping": self._matrix_words})

    def _system(self, model: TrainedModel, test_points: Tensor) -> tuple[CurvatureMatrix, Tensor]:
        """Returns the curvature, and the test points' gradients (T, P)."""
        layout = model.network.select(self.parameters)
        model = on_features(model, layout)
        model = model.to(torch.float64 if self.dtype == "float64" else torch.float32)
        model = self.departures.network(model)
        matrix = CurvatureMatrix(
            model, layout, self.curvature, self.curvature_includes_regularization
        )
        rhs = gradients_at_tests(model, layout, test_points)
        if not bool(torch.isfinite(rhs).all()):
            raise diverged_model()
        return matrix, rhs


def _finite(scores: Tensor) -> Tensor:
    if not bool(torch.isfinite(scores).all()):
        raise MethodFailure(
            "the scores are not finite: the damped curvature cannot be inverted.",
            "Give a `damping` above 0, or add weight decay.",
        )
    return scores


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
