"""What an estimator is: a rule that predicts effects of removal from a trained model."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

import torch
from pydantic import PositiveInt
from torch import Tensor

from fragility.method import Method, Room
from fragility.numerics.network import ParameterSet
from fragility.numerics.quadrature import Eigenvalues
from fragility.numerics.trained import TrainedModel


@dataclass(frozen=True)
class Estimate:
    """Scores (test points, training points) and facts about how they came about.

    A score is the predicted change of the test example's loss when the training example is removed;
    positive: the training example was helping. `by_test_point` holds facts about each test point,
    (T,), such as the relative residual of the linear system that was solved for it. `details` say
    of facts what they refer to. `spectrum` is that of the curvature, damping not included, where
    all of it is known.
    """

    scores: Tensor
    diagnostics: Mapping[str, float] = field(default_factory=dict)
    by_test_point: Mapping[str, Tensor] = field(default_factory=dict)
    details: Mapping[str, str] = field(default_factory=dict)
    spectrum: Eigenvalues | None = None


class Estimator(Method):
    """Turns a trained model into scores."""

    package: ClassVar[str | None] = None
    """Another package that computes the scores; the extra of that name installs it."""

    @property
    def scored(self) -> ParameterSet | None:
        """The parameters whose change is followed; None where scores are of no parameters."""
        return None

    @property
    def models(self) -> int:
        """How many base models the scores are made from: the cell's own and other repeats'."""
        return 1

    @abstractmethod
    def estimate(self, model: TrainedModel, test_points: Tensor) -> Estimate:
        """Returns the scores of all training points for some test points.

        Args:
            model: the trained model and its examples.
            test_points: positions in the test set, shape (T,).

        Raises:
            MethodFailure: the estimator has no answer for this model.
        """

    @property
    def scores_groups(self) -> bool:
        """Whether the score of a group is something else than the sum of its members' scores."""
        return False

    def estimate_groups(
        self, models: Sequence[TrainedModel], test_points: Tensor, groups: Sequence[Tensor]
    ) -> Estimate:
        """Returns the scores (T, G) of groups of training points that are removed together.

        Args:
            models: as for `estimate_together`.
            test_points: positions in the test set, shape (T,).
            groups: positions in the training set of the members of each group.

        Raises:
            MethodFailure: the estimator has no answer for one of the models.
        """
        points = self.estimate_together(models, test_points)
        sums = [points.scores[:, group].sum(dim=1) for group in groups]
        return replace(points, scores=torch.stack(sums, dim=1))

    def estimate_together(self, models: Sequence[TrainedModel], test_points: Tensor) -> Estimate:
        """Returns the scores made from several models of one setting, `models` of them.

        Raises:
            MethodFailure: the estimator has no answer for one of them.
        """
        (model,) = models
        return self.estimate(model, test_points)


class ModelEstimator(Estimator):
    """An estimator that follows some parameters of one model, or of several and averages."""

    parameters: ParameterSet = "all"
    """The parameters whose change is followed, the others count as fixed: `all`, `last_layer`,
    `last_layer_weight`, or patterns of parameter names such as `["3.*"]`."""
    ensemble: PositiveInt = 1
    """Average over this many base models: the cell's own, and those of the first other repeats."""

    @property
    def scored(self) -> ParameterSet | None:
        """The parameters whose change is followed."""
        return self.parameters

    @property
    def models(self) -> int:
        """How many base models the scores are made from."""
        return self.ensemble

    def estimate_together(self, models: Sequence[TrainedModel], test_points: Tensor) -> Estimate:
        """Returns the mean of the models' scores; diagnostics are those of the first."""
        estimates = [self.estimate(model, test_points) for model in models]
        first = estimates[0]
        scores = torch.stack([estimate.scores for estimate in estimates]).mean(dim=0)
        return replace(first, scores=scores)


def installation(package: str) -> str:
    """Returns the command that installs a package which some estimators need."""
    return f"pip install 'fragility[{package}]'"


ESTIMATORS: Room[Estimator] = Room("estimators", Estimator, "fragility.estimators")
