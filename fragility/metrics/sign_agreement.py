"""Share of pairs whose score and effect have the same sign."""

from __future__ import annotations

from typing import Literal

import numpy as np

from fragility.metrics.base import Array, Metric, Statistic


class SignAgreement(Metric):
    """Share of pairs whose score and effect have the same sign, 0 to 1; pairs with a 0 left out.

    Whether an example helps or harms is often all that is asked. 0.5 is chance only when both signs
    are equally frequent: a common offset of the effects raises or lowers it.

    Valid when: enough pairs have both a score and an effect that are not exactly 0.
    Cost: a product of the draws' weights with two columns.
    Reference: sign test of paired data.
    """

    kind: Literal["sign_agreement"] = "sign_agreement"

    def degenerate(self, scores: Array, effects: Array) -> str | None:
        """Return the reason when too few pairs are without a zero."""
        left = int(np.count_nonzero((scores != 0) & (effects != 0)))
        if left >= self.fewest_pairs:
            return None
        return (
            f"{left} of {len(scores)} pairs have neither score nor effect 0; "
            f"at least {self.fewest_pairs} are needed"
        )

    def statistic(self, scores: Array, effects: Array) -> Statistic:
        """Return the share as a function of the weights."""
        signs = np.sign(scores) * np.sign(effects)
        columns = np.stack([signs > 0, signs != 0], axis=1).astype(np.float64)

        def share(weights: Array) -> Array:
            same, all_ = (weights @ columns).T
            with np.errstate(invalid="ignore"):
                shares: Array = same / all_
            return shares

        return share

    def chance(
        self, n: int, scores: Array | None = None, effects: Array | None = None
    ) -> float | None:
        """Return what the shares of signs give, zeros left out; without the lists, 0.5."""
        if scores is None or effects is None:
            return 0.5
        x, y = (float(np.mean(values[values != 0] > 0)) for values in (scores, effects))
        return x * y + (1 - x) * (1 - y)
