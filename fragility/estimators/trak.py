"""TRAK: linear models of the margin on randomly projected gradients, averaged over models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from pydantic import NonNegativeFloat, NonNegativeInt, PositiveInt
from torch import Tensor

from fragility.errors import MethodFailure
from fragility.estimators._features import Features
from fragility.estimators._gradients import GradientEstimator
from fragility.estimators._influence import RelativeDamping, diverged_model
from fragility.estimators._model_output import model_output
from fragility.estimators.base import Estimate
from fragility.estimators.exact import dense_limit
from fragility.identity import derive_seed
from fragility.numerics.inverse import norm_ratios
from fragility.numerics.projection import Distribution, Projection
from fragility.numerics.trained import TrainedModel


@dataclass(frozen=True)
class Part:
    """What one model adds to the scores."""

    products: Tensor
    """phi_t^T (Phi^T Phi + n damping I)^-1 phi_i, (T, n)."""
    residuals: Tensor
    """Q_i, (n,)."""
    slopes: Tensor
    """Minus the derivative of the test loss in the model output, (T,)."""
    diagnostics: Mapping[str, float]
    by_test_point: Mapping[str, Tensor]


class TRAK(GradientEstimator):
    """Margins as linear functions of projected gradients, each example a term of the fit (TRAK).

    The features phi of an example are the gradient of its margin m = log(p / (1 - p)), p the
    probability of its class, projected at random to `dimensions`; for a regression m is the
    prediction. With Phi the features of the training examples and Q_i = 1 - p_i (a regression's
    residual), removing example i lowers m_t by phi_t^T (Phi^T Phi + n damping I)^-1 phi_i Q_i. The
    score is that times -df_t/dm_t = 1 - p_t (twice the residual), the predicted change of the test
    loss. Without projection and for one output or two classes that is the exact score with the
    Gauss-Newton matrix, but for the weights p (1 - p) of its terms, which TRAK leaves out: scores
    of classifiers are too small, the more so the better the fit. An `ensemble` averages the
    products of features, the Q_i and the 1 - p_t each by itself.

    Valid when: margins are about linear in the parameters; better the more models are averaged.
    Cost: for k dimensions and P parameters a gradient of every example, n P k operations to project
        them, 2 k^2 numbers and k^3 / 3 operations; k up to 11,585 in float64, 16,384 in float32.
    Reference: Park et al. 2023, sections 3.2 and 3.3, without the sparsification of the last step.
    """

    kind: Literal["trak"] = "trak"
    dimensions: PositiveInt | None = 2048
    """Length of the projected gradients; nothing is projected with null, or where there are no more
    parameters."""
    distribution: Distribution = "rademacher"
    """The projection's independent entries: 1 and -1 (`rademacher`), or `normal`."""
    damping: NonNegativeFloat | RelativeDamping = RelativeDamping(relative=1.0)
    """Added to every eigenvalue of Phi^T Phi / n: a number, or `{relative: x}`, a multiple of the
    mean eigenvalue. Features are nearly dependent, and eigenvalues below the mean mostly noise of
    the projection and of the weights left out: with the 0 of the paper's code they decide."""
    seed: NonNegativeInt = 0
    """Seed of the projection, which is another one for each model of an ensemble."""

    def estimate(self, model: TrainedModel, test_points: Tensor) -> Estimate:
        """Returns the scores of all training points from one model."""
        return self.estimate_together([model], test_points)

    def estimate_together(self, models: Sequence[TrainedModel], test_points: Tensor) -> Estimate:
        """Returns the scores from the averages of the models' parts."""
        parts = [self._part(model, place, test_points) for place, model in enumerate(models)]
        products = torch.stack([part.products for part in parts]).mean(dim=0)
        residuals = torch.stack([part.residuals for part in parts]).mean(dim=0)
        slopes = torch.stack([part.slopes for part in parts]).mean(dim=0)
        scores = slopes.unsqueeze(1) * products * residuals
        if not bool(torch.isfinite(scores).all()):
            raise diverged_model()
        return Estimate(scores, parts[0].diagnostics, parts[0].by_test_point)

    def _part(self, model: TrainedModel, place: int, test_points: Tensor) -> Part:
        features = self._features(model, place)
        model = features.model
        of_tests = features.of_tests(test_points)
        matrix = features.second_moment()
        damping = self._damp(matrix)
        solved = solve(matrix, of_tests)
        inputs, targets = model.test_inputs[test_points], model.test_targets[test_points]
        return Part(
            features.products(solved) / model.n,
            features.residuals(model.inputs, model.targets),
            features.output.slope * features.residuals(inputs, targets),
            {"damping": damping, "feature_dimensions": features.size},
            {"relative_residual": norm_ratios(of_tests - solved @ matrix, of_tests)},
        )

    def _features(self, model: TrainedModel, place: int) -> Features:
        output = model_output(model)
        model, layout = self.followed(model)
        like, projection = model.vector(layout), None
        if self.dimensions is not None and self.dimensions < layout.size:
            seed = derive_seed(self.seed, "trak", place)
            projection = Projection(
                layout.size, self.dimensions, self.distribution, seed, like.dtype, like.device
            )
        features, limit = Features(model, layout, output, projection), dense_limit(like.dtype)
        if features.size > limit:
            raise MethodFailure(
                f"`trak` writes out a matrix of at most {limit:,} dimensions in {self.dtype}; here "
                f"are {features.size:,}.",
                "Give a smaller number of `dimensions`.",
            )
        return features

    def _damp(self, matrix: Tensor) -> float:
        """Raises the diagonal, and returns by how much."""
        damping = self.damping
        if isinstance(damping, RelativeDamping):
            damping = damping.relative * float(matrix.diagonal().mean())
        matrix.diagonal().add_(damping)
        return damping


def solve(matrix: Tensor, rhs: Tensor) -> Tensor:
    """Returns the inverse of a positive definite matrix (k, k) times rows (T, k).

    Raises:
        MethodFailure: the matrix is singular to rounding, or not finite.
    """
    if not bool(torch.isfinite(matrix.diagonal()).all()):
        raise diverged_model()
    factor, failed = torch.linalg.cholesky_ex(matrix)
    pivots = factor.diagonal().square()
    rounding = len(matrix) * torch.finfo(matrix.dtype).eps
    if int(failed) or float(pivots.min()) <= rounding * float(pivots.max()):
        raise MethodFailure(
            "the features are linearly dependent, so that their second moment has no inverse.",
            "Give a `damping` above 0, such as `{relative: 1}`.",
        )
    solved: Tensor = torch.cholesky_solve(rhs.T, factor)
    return solved.T
