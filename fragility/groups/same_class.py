"""Groups of one class."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fragility.errors import MethodFailure
from fragility.groups.base import Grouping
from fragility.selectors import Candidates


class SameClass(Grouping):
    """Groups whose members have one label: a class that is large enough is drawn, then its members.

    Valid when: the dataset is one of classification, with a class of more members than the group.
    Cost: one retraining a group.
    Reference: Koh et al. 2019, section 4.
    """

    kind: Literal["same_class"] = "same_class"

    def members(
        self, candidates: Candidates, size: int, generator: np.random.Generator
    ) -> NDArray[np.int64]:
        """Returns a sample of one class."""
        if candidates.targets.ndim > 1:
            raise MethodFailure(
                "`same_class` groups need classes, and this dataset has numbers as targets.",
                "Use `random` or `cluster`.",
            )
        classes, counts = np.unique(candidates.targets, return_counts=True)
        large = classes[counts > size]
        if len(large) == 0:
            raise MethodFailure(
                f"no class has more than {size} training examples; the largest has {counts.max()}.",
                "Give smaller `sizes`.",
            )
        (alike,) = np.nonzero(candidates.targets == generator.choice(large))
        return generator.choice(alike, size, replace=False)
