"""The protocol of Epifano, Ramachandran, Masino and Rasool 2023."""

from __future__ import annotations

from typing import Literal

from fragility.protocols._rules import Rule
from fragility.protocols._stored import Stored
from fragility.protocols._top import Count, TopProtocol


class Epifano2023(TopProtocol):
    """The mean over repeats of |Spearman| for the test point of the largest loss.

    The paper says 40 training points: those of the largest loss on Iris, of the largest |score| on
    images; the published arrays of the regularized Iris networks have 25. The stored points are
    ordered by their training loss where they were chosen by it, else by |score|. Only the top layer
    is retrained, says the text; the code of most figures retrains all of it.

    Repeats (5 to 50 of them) enter an ANOVA, each with one retraining a point. The mean of
    |Spearman| of unrelated numbers is not 0 but 0.163 for 25 points and 0.128 for 40, and it hides
    the sign.

    Valid when: single points were removed and retrained.
    Cost: none; stored scores and effects are read again.
    Reference: Epifano et al. 2023, Revisiting the fragility of influence functions, Neural Networks
    162, 581-588.
    """

    truths = ("frozen", "warm", "warm over orders", "cold", "cold over seeds")
    truths_in_words = "retraining without single points"

    kind: Literal["epifano-2023"] = "epifano-2023"
    points: Count = 25
    """How many removed points are looked at."""

    def rule(self, stored: Stored) -> Rule:
        """Returns: test point of the largest loss, top loss or |score|, |Spearman|."""
        order: Literal["top_loss", "top_size"] = (
            "top_size" if stored.train_losses is None else "top_loss"
        )
        return Rule("max_loss", order, "single", "|spearman|", "per_test", self.points)
