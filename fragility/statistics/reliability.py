"""How well effects were measured: reliability in every form, the ceiling, and what follows."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from fragility.statistics.ceiling import ceiling
from fragility.statistics.estimate import CONFIDENCE, Array, Estimate
from fragility.statistics.intraclass import (
    Components,
    Intraclass,
    intraclass_agreement,
    intraclass_consistency,
    variance_components,
)
from fragility.statistics.nested_bootstrap import nested_bootstrap
from fragility.statistics.panel import Panel, mean_reliability
from fragility.statistics.resampling import Axis, Weights
from fragility.statistics.split_half import SplitHalf, split_half

MEASURABLE = 0.5
"""Least reliability of effects against which an estimator may be judged.

Below it noise is more than half of the variance between the measured effects, and a perfect
estimator's correlation stays under 0.71: a low number then speaks of the procedure.
"""


@dataclass(frozen=True)
class Verdict:
    """Whether effects can judge an estimator; None when their reliability is not known.

    `certain` says that the interval of the reliability lies on the same side of the limit.
    """

    measurable: bool | None
    certain: bool
    words: str


@dataclass(frozen=True)
class Reliability:
    """Everything that replicates say about the noise of a test point's effects.

    `consistency` is the reliability for correlations over points and what `verdict` rests on,
    `agreement` counts shifts common to all points as noise, the split halves repeat `consistency`
    without assuming normal effects, for means and for their ranks. Ceilings belong to the mean over
    all replicates. `components` is None when the other estimates are missing.
    """

    consistency: Intraclass
    agreement: Intraclass
    split_half: SplitHalf
    split_half_ranks: SplitHalf
    components: Components | None
    ceiling_pearson: Estimate
    ceiling_spearman: Estimate
    verdict: Verdict


def reliability(
    effects: Array, *, seed: int, splits: int = 1000, confidence: float = CONFIDENCE
) -> Reliability:
    """Returns the reliability of `effects` (replicates, points) of one test point.

    The interval of Pearson's ceiling is that of ICC(C,R), exact for normal effects. Spearman's
    ceiling comes from ranks of halves, with a bootstrap over points. Everything is missing, with
    the reason, with fewer than two replicates or points, when one effect is not finite, or when
    those of all points are equal.

    Cost: 2 x `splits` correlations of halves, and 40,000 rank correlations for the interval.
    """
    parts = intraclass_consistency(effects, confidence)
    return Reliability(
        consistency=parts,
        agreement=intraclass_agreement(effects, confidence),
        split_half=split_half(effects, seed=seed, splits=splits),
        split_half_ranks=split_half(effects, seed=seed, splits=splits, kind="spearman"),
        components=variance_components(effects),
        ceiling_pearson=parts.mean.map(lambda value: ceiling(value, "pearson")),
        ceiling_spearman=_rank_ceiling(effects, parts.mean, seed, confidence),
        verdict=verdict(parts.mean),
    )


def replicates_needed(single_reliability: float, target: float) -> int | None:
    """Returns the least number of replicates whose mean has the `target` reliability.

    R = target (1 - r1) / (r1 (1 - target)), from Spearman-Brown, for a `target` below 1. None when
    `single_reliability` is 0 or below: no number of replicates is enough.
    """
    if single_reliability <= 0:
        return None
    if single_reliability >= 1:
        return 1
    exact = target * (1 - single_reliability) / (single_reliability * (1 - target))
    # An exact answer of 4 must not become 5 by rounding.
    return max(1, math.ceil(exact * (1 - 1e-12)))


def verdict(reliability: Estimate) -> Verdict:
    """Returns whether effects of this reliability can judge an estimator: from 0.5 upwards.

    The value decides; the words say when its interval reaches across the limit.
    """
    value, low, high = reliability.value, reliability.low, reliability.high
    if value is None:
        return Verdict(None, False, f"not known whether measurable: {reliability.reason}")
    measurable = value >= MEASURABLE
    words = "measurable" if measurable else "not measurable with this budget"
    if low is None or high is None:
        return Verdict(measurable, False, f"{words} (no interval: {reliability.reason})")
    if (low >= MEASURABLE) == (high >= MEASURABLE):
        return Verdict(measurable, True, words)
    reach = f"down to {low:.2f}" if measurable else f"up to {high:.2f}"
    return Verdict(measurable, False, f"{words} (the reliability's interval reaches {reach})")


def _rank_ceiling(effects: Array, pearson: Estimate, seed: int, confidence: float) -> Estimate:
    """Returns Spearman's ceiling with an interval over points, replicates held fixed."""
    if pearson.value is None:
        return pearson
    panel = Panel.of_one(effects[0], effects)
    statistic = mean_reliability(panel, "spearman", seed=seed)
    replicates, points = effects.shape
    alone = {"repeats": 1, "tests": 1, "replicates": replicates}

    def over_points(weights: Weights) -> Array:
        draws = len(weights["points"])
        return statistic({**weights, **{k: np.ones((draws, size)) for k, size in alone.items()}})

    found = nested_bootstrap(
        over_points, [Axis("points", points)], seed=seed, confidence=confidence
    )
    return found.estimate.map(lambda value: ceiling(value, "spearman"))
