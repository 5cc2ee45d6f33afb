"""Points drawn at random."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fragility.selectors.base import Candidates, CountingSelector


class Random(CountingSelector):
    """Points drawn without replacement, each with the same probability.

    The draw depends on the study's seed alone: every repeat and every model looks at the same
    points, so that the spread over repeats is not the spread over points.

    Valid when: always; the unbiased choice when `all` costs too much.
    Cost: one retraining for every training point drawn.
    """

    kind: Literal["random"] = "random"

    def choose(self, candidates: Candidates) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Returns the start of a seeded permutation, chosen by no value."""
        order = np.random.default_rng(candidates.seed).permutation(len(candidates.losses))
        return order[: self.count], np.full(self.count, np.nan)
