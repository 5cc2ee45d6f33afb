"""Groups of examples that look alike."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fragility.groups.base import Grouping
from fragility.selectors import Candidates


class Cluster(Grouping):
    """Groups of an example drawn at random and those nearest to it in the inputs.

    Distances are Euclidean between the inputs as the model sees them: standardize features that
    have units. Members resemble each other, so that their scores add up instead of cancelling.

    Valid when: distances between inputs mean something.
    Cost: one retraining a group.
    Reference: Koh et al. 2019, section 4 (there by clustering features).
    """

    kind: Literal["cluster"] = "cluster"

    def members(
        self, candidates: Candidates, size: int, generator: np.random.Generator
    ) -> NDArray[np.int64]:
        """Returns the neighbourhood of one example."""
        inputs = candidates.inputs.reshape(len(candidates.inputs), -1)
        centre = inputs[generator.integers(len(inputs))]
        distance = np.square(inputs - centre).sum(axis=1)
        return np.argsort(distance, kind="stable")[:size]
