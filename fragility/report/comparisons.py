"""Does a swept factor make a difference: a test for every quantity, and verdicts over them all.

Every series of every quantity over every factor of the study is one comparison; all of them are one
family, and every p-value is corrected over it (Benjamini and Hochberg: the expected share of false
claims among those made stays below the level, for comparisons that are independent or, as those of
the same scores and effects are, positively dependent). Where a factor does not enter a quantity at
all, so that every value of it gives the very same numbers, nothing is tested.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fragility.report.statistics import geometric_mean, mean_interval, trend
from fragility.report.text import estimate, number
from fragility.statistics.group_comparisons import GroupComparison, compare_groups
from fragility.statistics.level_comparison import LevelComparison, Unit, compare_levels
from fragility.statistics.multiplicity import benjamini_hochberg

LEVEL = 0.05
DIFFERS, EQUIVALENT, CANNOT_TELL = "differs", "equivalent", "cannot tell"


@dataclass(frozen=True)
class Comparison:
    """One quantity over the values of one factor, everything else held fixed.

    `first` and `last` are the means at both ends, `trend` the rank correlation of the quantity with
    the order of the values. `anova` is the one-way analysis of variance of the repeats' values;
    `pairs` the differences between values of the factor, in natural logarithms where `logarithmic`.
    """

    factor: str
    quantity: str
    series: str
    metric: str
    first: str
    last: str
    trend: str
    anova: GroupComparison
    pairs: LevelComparison | None
    correlation: bool
    logarithmic: bool

    @property
    def identical(self) -> bool:
        """Whether the factor does not enter: every value of it gives the very same numbers."""
        return self.pairs is not None and self.pairs.identical


@dataclass(frozen=True)
class Judged:
    """A comparison with its p-values as corrected over the family, and the verdict.

    `verdict` is one of `DIFFERS`, `EQUIVALENT` (all pairs of values, within the margin) and
    `CANNOT_TELL`; `detectable` says that an equivalent one differs all the same, by less.
    """

    comparison: Comparison
    verdict: str
    detectable: bool
    p_different: float | None
    p_equivalent: float | None
    p_anova: float | None
    p_welch: float | None
    p_ranks: float | None


@dataclass(frozen=True)
class Family:
    """All comparisons of a study; `tested` counts those that have a test of differences."""

    judged: Sequence[Judged]
    tested: int
    anovas: int
    margin: float

    def of(self, factor: str) -> list[Judged]:
        """Returns the comparisons over one factor."""
        return [one for one in self.judged if one.comparison.factor == factor]


def compare(
    labels: tuple[str, str, str],
    metric: str,
    levels: Sequence[str],
    values: Mapping[str, Sequence[float]],
    units: Mapping[str, Mapping[Unit, float]],
    *,
    margin: float,
    correlation: bool,
    logarithmic: bool,
) -> Comparison:
    """Returns the comparison of (factor, quantity, series) over the levels that have values.

    `values` are the repeats' own, as drawn; `units` those of repeats and test points.
    """
    present = [level for level in levels if values.get(level)]
    groups = [np.asarray(values[level], dtype=np.float64) for level in present]
    ends = [
        geometric_mean(group) if logarithmic else mean_interval(group, metric)
        for group in (groups[0], groups[-1])
    ]
    tested = [np.log(group) if logarithmic else group for group in groups]
    held = {
        level: {unit: float(np.log(x)) if logarithmic else x for unit, x in units[level].items()}
        for level in levels
        if units.get(level)
    }
    places = [np.full(g.size, float(levels.index(n))) for n, g in zip(present, groups, strict=True)]
    first, last = (
        f"{estimate(metric, end.value, end.low, end.high)} at {level}"
        for level, end in zip((present[0], present[-1]), ends, strict=True)
    )
    return Comparison(
        *labels,
        metric,
        first,
        last,
        number(trend(np.concatenate(places), np.concatenate(groups))),
        compare_groups(tested),
        compare_levels(held, margin) if len(held) > 1 else None,
        correlation,
        logarithmic,
    )


def family(comparisons: Sequence[Comparison], margin: float) -> Family:
    """Returns the verdicts over all comparisons of a study."""
    tested = [_open(comparison) for comparison in comparisons]
    different = _corrected([pairs.p_different if pairs else None for pairs in tested])
    equivalent = _corrected(
        [
            pairs.p_equivalent if pairs and comparison.correlation else None
            for comparison, pairs in zip(comparisons, tested, strict=True)
        ]
    )
    anova, welch, ranks = (
        _corrected([None if c.identical else getattr(c.anova, name).p for c in comparisons])
        for name in ("f", "welch", "ranks")
    )
    judged = [
        Judged(c, *_verdict(c, different[i], equivalent[i]), different[i], equivalent[i],
               anova[i], welch[i], ranks[i])
        for i, c in enumerate(comparisons)
    ]  # fmt: skip
    return Family(judged, _count(different), _count(anova), margin)


def _count(values: Sequence[float | None]) -> int:
    return sum(p is not None for p in values)


def _open(comparison: Comparison) -> LevelComparison | None:
    """Returns what there is to test: nothing where the factor does not enter at all."""
    return None if comparison.identical else comparison.pairs


def _verdict(
    comparison: Comparison, different: float | None, equivalent: float | None
) -> tuple[str, bool]:
    detected = different is not None and different < LEVEL
    if comparison.correlation and comparison.identical:
        return EQUIVALENT, False
    if equivalent is not None and equivalent < LEVEL:
        return EQUIVALENT, detected
    return (DIFFERS if detected else CANNOT_TELL), False


def _corrected(values: Sequence[float | None]) -> list[float | None]:
    """Returns the p-values corrected over those that there are."""
    known = iter(benjamini_hochberg([p for p in values if p is not None]))
    return [None if p is None else float(next(known)) for p in values]
