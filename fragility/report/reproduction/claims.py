"""What a publication claims, answered on both sides by rules that the page prints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from fragility.report.reproduction.families import INTERVAL, SIDES, Family, Side, median, seed
from fragility.statistics.estimate import Array, Estimate
from fragility.statistics.group_comparisons import compare_groups
from fragility.statistics.multiplicity import holm
from fragility.statistics.two_samples import FEWEST, LEVEL, MARGIN, median_difference

Answer = Literal["falls", "rises", "changes by less than the margin", "cannot tell"]
FALLS: Answer = "falls"
RISES: Answer = "rises"
LITTLE: Answer = "changes by less than the margin"
UNKNOWN: Answer = "cannot tell"

DECAY, AVERAGED = "weight decay", "averaged weights"
BAYESIAN = "a Bayesian network in place of weight decay"
PAIRS: Sequence[tuple[str, str, str]] = (
    (DECAY, "figure1_l2_selu", "figure1_nol2_selu"),
    (DECAY, "figure1_width_l2_selu", "figure1_width_nol2_selu"),
    (DECAY, "figure1_l2_tanh", "figure1_nol2_tanh"),
    (DECAY, "figure1_depth_l2_selu_swa", "figure1_depth_nol2_selu_swa"),
    (DECAY, "figure1_width_l2_selu_swa", "figure1_width_nol2_selu_swa"),
    (AVERAGED, "figure1_depth_l2_selu_swa", "figure1_l2_selu"),
    (AVERAGED, "figure1_depth_nol2_selu_swa", "figure1_nol2_selu"),
    (AVERAGED, "figure1_width_l2_selu_swa", "figure1_width_l2_selu"),
    (AVERAGED, "figure1_width_nol2_selu_swa", "figure1_width_nol2_selu"),
    (BAYESIAN, "figure1_vdp_tanh", "figure1_l2_selu"),
    (BAYESIAN, "figure1_width_vdp_tanh", "figure1_width_l2_selu"),
)
"""What regularizes, and the families of `IRIS/` with and without it."""


@dataclass(frozen=True)
class SizeEffect:
    """How Spearman's correlation depends on the size of the model, in one reading of a family.

    `f` and `p` are of the one-way analysis of variance over sizes, `trend` is Spearman's
    correlation of size and value over all runs and `p_trend` its p, corrected (Holm) over the
    families of this reading; `change` is the median at the last size minus that at the first.
    """

    family: Family
    side: Side
    runs: int
    first: str
    last: str
    f: float | None
    p: float | None
    trend: float | None
    p_trend: float | None
    change: Estimate
    answer: Answer = UNKNOWN


@dataclass(frozen=True)
class RegularizationEffect:
    """Median with a regularizer minus median without, over the sizes that both have.

    `above` and `below` count the sizes whose own interval lies on one side of 0, of `sizes`.
    """

    what: str
    regularized: Family
    bare: Family
    side: Side
    runs: tuple[int, int]
    change: Estimate
    above: int
    below: int
    sizes: int
    answer: Answer


@dataclass(frozen=True)
class MetricEffect:
    """Spearman's beside Pearson's correlation of the same runs.

    `spearman` and `pearson` are medians, of absolute values but for the corrected reading, `signed`
    that of Spearman's with its sign; `apart` is the median of Pearson's minus Spearman's in a run,
    `negative` the share of runs whose Spearman is. `at_chance` counts the settings of `judged` that
    cannot be told from unrelated lists, None where that was not asked.
    """

    family: Family
    side: Side
    runs: int
    spearman: Estimate
    signed: Estimate
    pearson: Estimate
    apart: Estimate
    negative: float
    at_chance: int | None
    judged: int


def size_effects(families: Sequence[Family]) -> list[SizeEffect]:
    """Returns a row for each family and reading that has values at two sizes."""
    found = [
        effect for side in SIDES for family in families if (effect := _size_effect(family, side))
    ]
    return [
        replace(effect, p_trend=p, answer=_of_size(effect, p))
        for side in SIDES
        for effect, p in _corrected([one for one in found if one.side == side])
    ]


def regularization_effects(families: Sequence[Family]) -> list[RegularizationEffect]:
    """Returns a row for each of `PAIRS` and reading that has values on both sides."""
    by_name = {family.anchor: family for family in families}
    found = [
        _regularization_effect(what, by_name[first], by_name[second], side)
        for side in SIDES
        for what, first, second in PAIRS
        if first in by_name and second in by_name
    ]
    return [one for one in found if one is not None]


def metric_effects(families: Sequence[Family]) -> list[MetricEffect]:
    """Returns a row for each family and reading that has values."""
    found = [_metric_effect(family, side) for side in SIDES for family in families]
    return [one for one in found if one is not None]


def values(family: Family, side: Side) -> Mapping[str, Array]:
    """Returns Spearman's correlations by size of model: absolute values, signed where corrected."""
    return {level: _read(found, side) for level, found in family.values(side, "spearman").items()}


def answer(change: Estimate) -> Answer:
    """Returns what an interval of a change says by itself, the margin first."""
    if change.low is None or change.high is None:
        return UNKNOWN
    if change.low > -MARGIN and change.high < MARGIN:
        return LITTLE
    if change.high < 0:
        return FALLS
    return RISES if change.low > 0 else UNKNOWN


def _read(found: Array, side: Side) -> Array:
    return found if side == "corrected" else np.abs(found)


def _size_effect(family: Family, side: Side) -> SizeEffect | None:
    # Imported here: it doubles the time that every command which only reads needs to start.
    from scipy.stats import spearmanr

    groups = values(family, side)
    if len(groups) < 2 or not all(level.isdecimal() for level in groups):
        return None
    levels = list(groups)
    everything = np.concatenate(list(groups.values()))
    sizes = np.concatenate([np.full(v.size, float(level)) for level, v in groups.items()])
    anova = compare_groups(list(groups.values()))
    trend = p = None
    if everything.size >= FEWEST and np.ptp(everything) > 0:
        test = spearmanr(sizes, everything)
        trend, p = float(test.statistic), float(test.pvalue)
    names = ("size", family.key, side)
    change = median_difference(
        groups[levels[-1]], groups[levels[0]], seed=seed(*names), confidence=INTERVAL
    )
    return SizeEffect(
        family, side, everything.size, levels[0], levels[-1], anova.f.statistic, anova.f.p, trend,
        p, change,
    )  # fmt: skip


def _corrected(found: Sequence[SizeEffect]) -> list[tuple[SizeEffect, float | None]]:
    known = [one.p_trend for one in found if one.p_trend is not None]
    corrected = iter(holm(known)) if known else iter(())
    return [(one, None if one.p_trend is None else float(next(corrected))) for one in found]


def _of_size(effect: SizeEffect, p: float | None) -> Answer:
    """Both the ends and the trend have to say that it falls or rises."""
    said = answer(effect.change)
    if said not in (FALLS, RISES):
        return said
    same = effect.trend is not None and (effect.trend > 0) == (said == RISES)
    return said if same and p is not None and p <= LEVEL else UNKNOWN


def _regularization_effect(
    what: str, regularized: Family, bare: Family, side: Side
) -> RegularizationEffect | None:
    first, second = values(regularized, side), values(bare, side)
    levels = [level for level in first if level in second]
    if not levels:
        return None
    a, b = (np.concatenate([side_[level] for level in levels]) for side_ in (first, second))
    names = ("regularization", regularized.key, side)
    change = median_difference(a, b, seed=seed(*names), confidence=INTERVAL)
    each = [
        median_difference(
            first[level], second[level], seed=seed(*names, level), confidence=INTERVAL
        )
        for level in levels
    ]
    above = sum(one.low is not None and one.low > 0 for one in each)
    below = sum(one.high is not None and one.high < 0 for one in each)
    return RegularizationEffect(
        what, regularized, bare, side, (a.size, b.size), change, above, below, len(levels),
        answer(change),
    )  # fmt: skip


def _metric_effect(family: Family, side: Side) -> MetricEffect | None:
    signed, pearson = family.pairs(side)
    if not signed.size:
        return None
    s, p = _read(signed, side), _read(pearson, side)
    names = ("metric", family.key, side)
    judged = _at_chance(family, side)
    return MetricEffect(
        family,
        side,
        signed.size,
        median(s, *names, "spearman"),
        median(signed, *names, "signed"),
        median(p, *names, "pearson"),
        median(p - s, *names, "apart"),
        float(np.mean(signed < 0)),
        sum(judged) if judged else None,
        len(judged),
    )


def _at_chance(family: Family, side: Side) -> list[bool]:
    """Returns of each setting that was compared whether its correlation is at chance."""
    held = [one for _, one in family.lines if one.quantity == "spearman" and one.absolute]
    samples = {"published": [one.published for one in held], "ours": [one.ours for one in held]}
    known = [one.at_chance for one in samples.get(side, ()) if one is not None]
    return [one for one in known if one is not None]
