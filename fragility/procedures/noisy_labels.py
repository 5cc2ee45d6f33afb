"""Finding training examples whose label is wrong."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import model_validator

from fragility.method import JSON
from fragility.procedures.base import Chosen, Procedure, Removal
from fragility.selectors import SELECTORS, Candidates, Selector
from fragility.selectors.all import All
from fragility.training import Training


class NoisyLabels(Procedure):
    """Asks how well scores find the training labels that the dataset's `label_noise` replaced.

    Nothing is retrained: the area under the ROC curve is the probability that a replaced label is
    suspected before a right one, 0.5 by chance. Most suspect is the example that raises its own
    loss most when it is removed (`by: self_influence`), or the one that lowers the mean loss of the
    chosen test points most (`by: test_points`). It is a proxy: scores may find wrong labels and
    predict no retraining, and a loss finds them without any gradient.

    Valid when: the dataset declares `label_noise`.
    Cost: with `self_influence` a score for every pair of training examples.
    Reference: Koh and Liang 2017, section 5.4; Pruthi et al. 2020, section 4.1.
    """

    removes: ClassVar = "point"
    kind: Literal["noisy_labels"] = "noisy_labels"
    by: Literal["self_influence", "test_points"] = "self_influence"
    """Suspect an example by the score for its own loss, or by its mean score for others'."""
    test_points: Annotated[Selector, SELECTORS] = All()
    """Which test points are averaged over, with `by: test_points`."""

    @model_validator(mode="after")
    def _has_no_key_without_effect(self) -> NoisyLabels:
        for name in ("parameters", "measurable"):
            if name in self.model_fields_set:
                raise ValueError(f"`{name}` says what is retrained or measured, and nothing is")
        return self

    @property
    def finds(self) -> Literal["self_influence", "test_points"]:
        """What replaced labels are found by."""
        return self.by

    @property
    def rule(self) -> tuple[str, str]:
        """What labels are found by."""
        return "by", self.by

    def slots(self, n_train: int) -> list[JSON]:
        """Returns nothing: nothing is removed."""
        return []

    def choose(self, candidates: Candidates) -> Chosen:
        """Returns nothing."""
        return Chosen((), np.empty(0))

    def removals(self, n_train: int) -> list[Removal]:
        """Returns nothing, and no placebo either."""
        return []

    def retraining(self, training: Training) -> Training:
        """Returns the base model's training, which is not done again."""
        return training
