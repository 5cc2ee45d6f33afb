"""Every point."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fragility.method import JSON
from fragility.selectors.base import Candidates, Selector


class All(Selector):
    """Every point of the set, in order.

    Valid when: always; nothing is selected, so nothing is biased.
    Cost: one retraining for every training point.
    """

    kind: Literal["all"] = "all"

    def slots(self, size: int) -> list[JSON]:
        """Returns the points themselves."""
        return list(range(size))

    def choose(self, candidates: Candidates) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Returns 0, 1, 2 ..., chosen by no value."""
        size = len(candidates.losses)
        return np.arange(size), np.full(size, np.nan)
