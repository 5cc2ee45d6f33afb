"""The protocol that lets the procedure move the number least."""

from __future__ import annotations

from typing import Literal

from fragility.protocols._rules import Rule
from fragility.protocols._stored import Stored
from fragility.protocols.base import Protocol


class Recommended(Protocol):
    """Signed Spearman over all removals and all test points, of effects averaged over replicates.

    Nothing is selected after the scores are known; points that were drawn with known probabilities
    stand for the population (each weighs the inverse of its probability), and noise in the truth is
    averaged as far as the study has replicates. The truth is retraining as users mean it: from new
    initial values over seeds where the study has it, else the nearest it has.

    Its number belongs beside the noise ceiling: of one replicate it may be low for a perfect
    estimator.

    Valid when: some single points were removed.
    Cost: none; stored scores and effects are read again.
    Reference: none; it answers Basu et al. 2021 and Epifano et al. 2023.
    """

    truths = (
        "cold over seeds",
        "cold",
        "warm over orders",
        "warm",
        "proximal",
        "pbrf",
        "frozen",
        "linear_response",
    )
    truths_in_words = "effect of removing single points"

    kind: Literal["recommended"] = "recommended"

    def rule(self, stored: Stored) -> Rule:
        """Returns: all test points, all removals, mean of replicates, Spearman per test point."""
        known = stored.weights is not None
        return Rule("all", "all", "mean", "spearman", "per_test", weighted=known)
