"""The protocol of Koh and Liang 2017."""

from __future__ import annotations

from typing import Literal

from fragility.protocols._rules import Rule
from fragility.protocols._stored import Stored
from fragility.protocols._top import Count, TopProtocol


class KohLiang2017(TopProtocol):
    """Pearson's correlation for one test point over the points of the largest |score|.

    The paper takes one test point that the model predicts wrongly, arbitrarily picked (here one at
    random: tables do not hold predictions), and the 500 training points of the largest |score|, 100
    for the convolutional network, each removed and retrained once from the trained parameters.

    It measures no noise: one test point, one seed, one retraining a point. Points at both ends of
    the scores stretch their range, which raises a correlation whatever the estimator is.

    Valid when: single points were removed and retrained.
    Cost: none; stored scores and effects are read again.
    Reference: Koh and Liang 2017, Understanding Black-box Predictions via Influence Functions,
    section 4.
    """

    truths = ("warm", "cold", "warm over orders", "cold over seeds")
    truths_in_words = "retraining without single points"

    kind: Literal["koh-liang-2017"] = "koh-liang-2017"
    points: Count = 100
    """How many removed points of the largest |score| are looked at."""

    def rule(self, stored: Stored) -> Rule:
        """Returns: one test point, top |score|, one replicate, Pearson."""
        return Rule("random", "top_size", "single", "pearson", "per_test", self.points)
