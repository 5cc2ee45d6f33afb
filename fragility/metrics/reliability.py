"""How much of what was measured would be measured again: the noise ceiling of every comparison."""

from __future__ import annotations

import numpy as np

from fragility.metrics.base import Array


def reliability(effects: Array, weights: Array | None = None) -> float | None:
    """Return the reliability, 0 to 1, of the mean of `effects` (replicates, points).

    The share of the variance between points' means that is not replicate noise, from one-way
    variance components: ICC(1, R) = (MSB - MSW) / MSB, with MSB the mean square between points and
    MSW within; negative estimates count as 0. Its square root is the correlation of the measured
    means with the true effects, which no estimator can be expected to exceed. With `weights`
    (points,) mean squares are of points repeated so often, scaled to their number. None with fewer
    than two replicates or points, when all effects are equal, or when one is not finite.

    Source: P. E. Shrout, J. L. Fleiss, Psychol. Bull. 86 (1979) 420-428.
    """
    replicates, points = effects.shape
    if replicates < 2 or points < 2 or not np.isfinite(effects).all():
        return None
    if effects.max() == effects.min():
        return None
    reduced = np.ldexp(effects, -int(np.frexp(np.abs(effects).max())[1]))
    means = reduced.mean(axis=0)
    share = np.full(points, 1 / points) if weights is None else weights / weights.sum()
    between = replicates * points * np.sum(share * (means - share @ means) ** 2) / (points - 1)
    within = np.sum(share * (reduced - means) ** 2) / (replicates - 1)
    if between <= within:
        return 0.0
    return float((between - within) / between)
