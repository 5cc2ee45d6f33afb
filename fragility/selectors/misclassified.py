"""The points that the base model gets wrong."""

from __future__ import annotations

from typing import Literal

import numpy as np

from fragility.selectors._by_loss import descending
from fragility.selectors.base import Candidates, Choice, ModelSelector


class Misclassified(ModelSelector):
    """The points that the base model puts into a wrong class, highest loss first.

    As test points there are `count` of them or as many as the model gets wrong; a model that gets
    none wrong has no effects to measure, and its tasks fail and say so. As training points there
    must be `count`.

    Valid when: the dataset is one of classification, and the model not perfect on it.
    Cost: a forward pass; one retraining for every training point chosen.
    Reference: Koh and Liang 2017, section 4.1 (a misclassified test image).
    """

    kind: Literal["misclassified"] = "misclassified"

    @property
    def varies(self) -> bool:
        """A model decides how many points it gets wrong."""
        return True

    def refusal(self, task: str) -> str | None:
        """Returns why there are none in a regression."""
        if task == "classification":
            return None
        return "`misclassified` needs classes, and this dataset has numbers. Use `max_loss`."

    def choose(self, candidates: Candidates) -> Choice:
        """Returns the wrong ones by falling loss, chosen by it."""
        order = descending(candidates.losses)
        points = order[candidates.wrong()[order]][: self.count]
        return self.chosen(points, candidates.losses[points].astype(np.float64))
