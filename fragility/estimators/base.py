"""What an estimator is: a rule that predicts effects of removal from a trained model."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from fragility.method import Method, Room
from fragility.numerics.network import ParameterSet
from fragility.numerics.trained import TrainedModel


@dataclass(frozen=True)
class Estimate:
    """Scores (test points, training points) and facts about how they came about.

    A score is the predicted change of the test example's loss when the training example is removed;
    positive: the training example was helping.
    """

    scores: Tensor
    diagnostics: Mapping[str, float]


class Estimator(Method):
    """Turns a trained model into scores."""

    parameters: ParameterSet = "all"
    """The parameters whose change is followed; the others count as fixed."""

    @abstractmethod
    def estimate(self, model: TrainedModel, test_points: Tensor) -> Estimate:
        """Returns the scores of all training points for some test points.

        Args:
            model: the trained model and its examples.
            test_points: positions in the test set, shape (T,).

        Raises:
            MethodFailure: the estimator has no answer for this model.
        """


ESTIMATORS: Room[Estimator] = Room("estimators", Estimator, "fragility.estimators")
