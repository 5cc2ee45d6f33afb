"""Scores at the initial values: a null that has the data and the architecture, not the training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Literal

from pydantic import field_validator
from torch import Tensor

from fragility.errors import MethodFailure
from fragility.estimators.base import Estimate, Estimator
from fragility.method import Room
from fragility.numerics.network import ParameterSet
from fragility.numerics.trained import TrainedModel

PARTS: Room[Estimator] = Room("estimators", Estimator, "fragility.estimators")
"""Whose scores may be asked for: every estimator but this one, which does not exist yet here."""

_FOLLOWS_TRAINING = ("tracin", "unrolled")


class Untrained(Estimator):
    """The scores of another estimator for the model as it was before its training.

    Examples, architecture and labels are those of the trained model, and so is what a score gains
    by these alone: an example of the test point's class lowers its loss at any parameters. In
    classification some agreement with the truth is to be expected, therefore. In regression it is
    not: residuals of an untrained model are the targets, and those of a model that explains them
    have little to do with targets.

    Valid when: as a null, never as an estimate; the other estimator must have an answer away from a
        minimum.
    Cost: the other estimator's.
    Reference: the model parameter randomization test of Adebayo et al. 2018, Sanity Checks for
        Saliency Maps, section 3.
    """

    kind: Literal["untrained"] = "untrained"
    estimator: Annotated[Estimator, PARTS]
    """The estimator whose scores are asked for."""

    @field_validator("estimator")
    @classmethod
    def _looks_at_one_model(cls, estimator: Estimator) -> Estimator:
        if estimator.kind in _FOLLOWS_TRAINING:
            raise ValueError(f"`{estimator.kind}` follows a training, and here is none")
        if estimator.kind == "python" or estimator.package is not None:
            raise ValueError(f"`{estimator.kind}` cannot stand here; name an estimator of our own")
        return estimator

    @property
    def scored(self) -> ParameterSet | None:
        """The parameters whose change the other estimator follows."""
        return self.estimator.scored

    @property
    def models(self) -> int:
        """How many base models the scores are made from."""
        return self.estimator.models

    @property
    def scores_groups(self) -> bool:
        """Whether the other estimator scores groups in a way of its own."""
        return self.estimator.scores_groups

    def estimate(self, model: TrainedModel, test_points: Tensor) -> Estimate:
        """Returns the other estimator's scores at the model's initial values."""
        return self.estimator.estimate(untrained(model), test_points)

    def estimate_together(self, models: Sequence[TrainedModel], test_points: Tensor) -> Estimate:
        """Returns the other estimator's scores made from all models' initial values."""
        return self.estimator.estimate_together([untrained(m) for m in models], test_points)

    def estimate_groups(
        self, models: Sequence[TrainedModel], test_points: Tensor, groups: Sequence[Tensor]
    ) -> Estimate:
        """Returns the other estimator's scores of groups at the models' initial values."""
        return self.estimator.estimate_groups(
            [untrained(model) for model in models], test_points, groups
        )


def untrained(model: TrainedModel) -> TrainedModel:
    """Returns the model with its initial values in place of the trained ones.

    Raises:
        MethodFailure: they are not known.
    """
    if model.initial is None:
        raise MethodFailure(
            "the model's initial values are not known.", "Use a model that a study has trained."
        )
    initial = model.initial()
    parameters = {name: initial[name].to(now) for name, now in model.parameters.items()}
    return replace(model, parameters=parameters, history=None)
