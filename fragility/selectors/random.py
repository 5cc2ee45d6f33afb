"""Points drawn at random."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np

from fragility.selectors.base import Candidates, Choice, CountingSelector


class Random(CountingSelector):
    """Points drawn without replacement, each with the same probability.

    The draw depends on the study's seed alone: every repeat and every model looks at the same
    points, so that the spread over repeats is not the spread over points.

    Valid when: always; the unbiased choice when `all` costs too much.
    Cost: one retraining for every training point drawn.
    """

    way: ClassVar = "drawn"
    kind: Literal["random"] = "random"

    def choose(self, candidates: Candidates) -> Choice:
        """Returns the start of a seeded permutation, chosen by no value."""
        order = np.random.default_rng(candidates.seed).permutation(len(candidates))
        return self.chosen(order[: self.count], probabilities=self.count / len(candidates))
