"""Agreement corrected for the noise of the effects: what a score would reach with exact effects."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fragility.statistics.ceiling import ceiling, ceilings
from fragility.statistics.correlations import Kind
from fragility.statistics.estimate import CONFIDENCE, Array, Estimate, missing
from fragility.statistics.nested_bootstrap import Method, WeightedStatistic, nested_bootstrap
from fragility.statistics.panel import Panel, mean_correlation, mean_reliability
from fragility.statistics.resampling import Weights

LOWEST_RELIABILITY = 0.3
"""A correlation is not corrected when the reliability's interval reaches down to this.

The correction divides by the square root of the reliability: below 0.3 it would nearly double the
correlation, and the error of that divisor with it.
"""


@dataclass(frozen=True)
class Disattenuated:
    """The corrected correlation beside what it comes from, all with intervals of one bootstrap.

    `ceiling` is the correlation with the measured effects that a perfect score would reach.
    """

    corrected: Estimate
    observed: Estimate
    reliability: Estimate
    ceiling: Estimate


def disattenuated(
    panel: Panel,
    kind: Kind,
    *,
    seed: int,
    draws: int = 2000,
    confidence: float = CONFIDENCE,
) -> Disattenuated:
    """Returns the mean correlation of a panel divided by its noise ceiling.

    Assumes that the replicates' noise is independent of scores and true effects. Exact for Pearson;
    for Spearman the quotient is within 0.02 of the rank correlation with exact normal effects.
    Sampling error can carry it beyond 1. Withheld, with the reason, when the interval of the
    reliability reaches 0.3 or below, or there is none. Reliability and correlation are estimated
    anew in every draw, from the same resample. Intervals of correlations are BCa; that of the
    reliability is a percentile one, which covers better for it.

    Cost: three bootstraps of the panel; with Spearman 20 rank correlations more for each draw.

    Source: C. Spearman, Am. J. Psychol. 15 (1904) 72-101.
    """
    if panel.undefined is not None:
        return Disattenuated(*(missing(panel.undefined) for _ in range(4)))
    correlation = mean_correlation(panel, kind)
    reliability = mean_reliability(panel, kind, seed=seed)

    def quotient(weights: Weights) -> Array:
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(correlation(weights) / ceilings(reliability(weights), kind))

    def estimate(statistic: WeightedStatistic, method: Method, *bounds: float) -> Estimate:
        found = nested_bootstrap(
            statistic, panel.axes, seed=seed, draws=draws, confidence=confidence, method=method
        ).estimate
        return found.map(lambda value: min(max(value, bounds[0]), bounds[1]))

    observed = estimate(correlation, "bca", -1.0, 1.0)
    noise = estimate(reliability, "percentile", 0.0, 1.0)
    reason = withheld(noise)
    return Disattenuated(
        corrected=missing(reason) if reason else estimate(quotient, "bca", -np.inf, np.inf),
        observed=observed,
        reliability=noise,
        ceiling=noise.map(lambda value: ceiling(value, kind)),
    )


def withheld(reliability: Estimate) -> str | None:
    """Returns why a correlation is not corrected for effects of this reliability, or None."""
    if reliability.value is None or reliability.low is None:
        return f"the reliability of the effects is not known: {reliability.reason}"
    if reliability.low > LOWEST_RELIABILITY:
        return None
    return (
        f"the reliability of the effects may be as low as {reliability.low:.2f}; a correction needs"
        f" an interval above {LOWEST_RELIABILITY}"
    )
