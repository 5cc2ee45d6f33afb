"""How much of what was measured would be measured again: what noise ceilings rest on."""

from __future__ import annotations

from functools import cached_property

from fragility.statistics.estimate import Array
from fragility.statistics.intraclass import intraclass_agreement, intraclass_consistency
from fragility.statistics.split_half import split_half

SPLITS = 100
"""Random cuts into halves where there are more: their median is then right to an eighth of the
spread between cuts."""


class Reliability:
    """Reliabilities, 0 to 1, of the mean over replicates of one test point's effects.

    Which of them bounds a metric depends on what the metric sees; each is computed once, when it is
    first asked for. All are None with fewer than two replicates or points, when one effect is not
    finite, or when the effects of all points are equal.
    """

    def __init__(self, effects: Array, weights: Array | None = None) -> None:
        """Take `effects` (replicates, points); with `weights` (points,) points count so often."""
        self._effects = effects
        self._weights = weights

    @cached_property
    def consistency(self) -> float | None:
        """ICC(C,R): a shift that a replicate gives to all points alike is no noise.

        For Pearson's correlation, which is blind to such a shift.
        """
        return intraclass_consistency(self._effects, weights=self._weights).mean.value

    @cached_property
    def ranks(self) -> float | None:
        """The same from rank correlations of halves of the replicates, stepped up.

        For correlations of ranks: where few effects are large and many are near zero, the order of
        the many is known less well than the variance of all says.
        """
        found = split_half(
            self._effects, seed=0, kind="spearman", splits=SPLITS, weights=self._weights
        )
        return found.full

    @cached_property
    def agreement(self) -> float | None:
        """ICC(1,R): a common shift is noise too. For metrics of the effects' size."""
        return intraclass_agreement(self._effects, weights=self._weights).mean.value
