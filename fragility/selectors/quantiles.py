"""Points spread evenly over the range of the loss."""

from __future__ import annotations

from math import gcd
from typing import Literal

import numpy as np

from fragility.method import JSON
from fragility.selectors.base import Candidates, Choice, ModelSelector


class Quantiles(ModelSelector):
    """Points at evenly spaced quantiles of the base model's loss: of 4 at 1/8, 3/8, 5/8 and 7/8.

    Agreement can be very different from one test point to the next. Here all ranges of loss are
    represented, extremes by one point each, so that a mean over the points is one over the set.

    Valid when: always; the default choice of test points when `all` are too many.
    Cost: one retraining for every training point chosen.
    Reference: systematic sampling, W. G. Cochran, Sampling Techniques (1977), chapter 8.
    """

    kind: Literal["quantiles"] = "quantiles"

    def slots(self, size: int) -> list[JSON]:
        """Returns the quantile that each point stands at, as a reduced fraction."""
        rule = [slot for slot in super().slots(size) if isinstance(slot, dict)]
        levels = [(2 * place + 1, 2 * self.count) for place in range(self.count)]
        return [
            {**slot, "place": [part // gcd(*level) for part in level]}
            for slot, level in zip(rule, levels, strict=True)
        ]

    def choose(self, candidates: Candidates) -> Choice:
        """Returns the points by rising loss, chosen by it."""
        order = np.argsort(candidates.losses, kind="stable")
        # Of n losses, the k-th lowest is the quantile of levels above (k - 1)/n up to k/n.
        ends = -(-(2 * np.arange(self.count) + 1) * len(order) // (2 * self.count))
        points = order[ends - 1]
        return self.chosen(points, candidates.losses[points].astype(np.float64))
