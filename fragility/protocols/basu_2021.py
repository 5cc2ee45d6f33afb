"""The protocol of Basu, Pope and Feizi 2021."""

from __future__ import annotations

from typing import Literal

from fragility.protocols._rules import Rule
from fragility.protocols._stored import Stored
from fragility.protocols._top import Count, TopProtocol


class Basu2021(TopProtocol):
    """Spearman's correlation for the test point of the largest loss over the top |score|.

    For deep networks the paper takes one test point of the largest loss (and one of the median),
    the 40 training points of the largest |score|, and retrains from the optimum for 6 % of the
    original steps.

    It has no repeats, no error bars and no tests. The test point of the largest loss is an extreme
    order statistic, often mislabelled, and another one for every seed.

    Valid when: single points were removed and retrained.
    Cost: none; stored scores and effects are read again.
    Reference: Basu, Pope and Feizi 2021, Influence Functions in Deep Learning Are Fragile.
    """

    truths = ("warm", "cold", "warm over orders", "cold over seeds")
    truths_in_words = "retraining without single points"

    kind: Literal["basu-2021"] = "basu-2021"
    points: Count = 40
    """How many removed points of the largest |score| are looked at."""

    def rule(self, stored: Stored) -> Rule:
        """Returns: test point of the largest loss, top |score|, one replicate, Spearman."""
        return Rule("max_loss", "top_size", "single", "spearman", "per_test", self.points)
