"""Groups drawn at random."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fragility.groups.base import Grouping
from fragility.selectors import Candidates


class Random(Grouping):
    """Groups of training points drawn without replacement, each point with the same probability.

    Valid when: always; scores of the members mostly cancel, so that effects are small.
    Cost: one retraining a group.
    Reference: Koh et al. 2019, section 4.
    """

    kind: Literal["random"] = "random"

    def members(
        self, candidates: Candidates, size: int, generator: np.random.Generator
    ) -> NDArray[np.int64]:
        """Returns a simple random sample."""
        return generator.choice(len(candidates.losses), size, replace=False)
