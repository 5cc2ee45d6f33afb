"""Every point."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np

from fragility.method import JSON
from fragility.selectors.base import Candidates, Choice, Selector


class All(Selector):
    """Every point of the set, in order.

    Valid when: always; nothing is selected, so nothing is biased.
    Cost: one retraining for every training point.
    """

    way: ClassVar = "rest"
    kind: Literal["all"] = "all"

    def slots(self, size: int) -> list[JSON]:
        """Returns the points themselves."""
        return list(range(size))

    def choose(self, candidates: Candidates) -> Choice:
        """Returns 0, 1, 2 ..., chosen by no value and without fail."""
        return self.chosen(np.arange(len(candidates)), probabilities=1.0)
