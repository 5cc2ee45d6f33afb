"""What the tests of a factor say, as a row of a table and as a sentence."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from fragility.report.comparisons import (
    CANNOT_TELL,
    DIFFERS,
    EQUIVALENT,
    LEVEL,
    Comparison,
    Family,
    Judged,
)
from fragility.report.text import FIXED, estimate, listing, number, p_value, plural
from fragility.statistics.group_comparisons import GroupComparison, HypothesisTest
from fragility.statistics.level_comparison import TESTS, Difference

SPOKEN = 3
"""So many series of the first quantity are named in the sentence below a figure."""


@dataclass(frozen=True)
class Row:
    """One comparison of the table; each cell is a line and smaller ones below it."""

    quantity: str
    series: str
    first: str
    last: str
    trend: str
    effect: str
    over: str
    verdict: str
    because: Sequence[str]
    anova: str
    beside: Sequence[str]


def row(judged: Judged, margin: float) -> Row:
    """Returns the row of one comparison."""
    comparison = judged.comparison
    ends = comparison.pairs.ends if comparison.pairs else None
    return Row(
        comparison.quantity,
        comparison.series,
        comparison.first,
        comparison.last,
        comparison.trend,
        _change(comparison, ends) if ends and ends.value is not None else "–",
        _over(ends) if ends else "",
        verdict(judged, margin),
        _because(judged, margin),
        _anova(comparison.anova),
        _beside(comparison.anova, judged),
    )


def verdict(judged: Judged, margin: float) -> str:
    """Returns the verdict in words."""
    return f"equivalent within {f'{margin:g}'}" if judged.verdict == EQUIVALENT else judged.verdict


def rules(family: Family) -> str:
    """Returns how the verdicts are derived, with the numbers of this study."""
    margin = f"{family.margin:g}"
    return (
        f"All {plural(family.tested, 'comparison')} on this page are one family: p-values are"
        " corrected by Benjamini and Hochberg's method, those of each test over all comparisons"
        f" that have it ({family.anovas} for the analysis of variance), so that of the differences"
        f" claimed no more than {100 * LEVEL:.0f} % are expected to be false, and of the"
        " equivalences too."
        f" “Differs”: some two values of the factor differ, p < {LEVEL} (of more than two values:"
        " twice the p of the change shown, or the smallest p of all pairs times twice their"
        f" number; then corrected). “Equivalent within {margin}”: two one-sided tests reject a"
        f" difference of {margin} or more between every two values, p < {LEVEL} corrected; the"
        " margin is the study's `equivalence_margin`. “Cannot tell” is everything else, never a"
        " finding of its own."
    )


METHOD = (
    "The difference is a mean over what both values of the factor were measured on, correlations"
    " taken as they are. Where there are several repeats and test points, its 95 % interval is"
    " that of a mixed model in which both are random (REML, Satterthwaite), so that it speaks of"
    " other repeats and test points too; with one test point it is Student's, over repeats. One-"
    " way ANOVA, as in the paper that asked first, compares the repeats' medians over test points."
    " It assumes normal residuals (Shapiro and Wilk) of equal variance (Brown and Forsythe): where"
    " that fails, read Welch's test or that of ranks (Kruskal and Wallis) beside it. It takes the"
    " repeats at every value as unrelated, and the test points as the only ones there are."
)


def reading(judged: Sequence[Judged], factor: str, levels: Sequence[str], margin: float) -> str:
    """Returns what the comparisons over one factor say, in a sentence or two."""
    if not judged:
        return (
            f"Nothing that depends on {factor} was measured at two of its {len(levels)} values with"
            " everything else the same: what it changes cannot be told from what varies with it."
        )
    first = [one for one in judged if one.comparison.quantity == judged[0].comparison.quantity]
    said = "; ".join(_spoken(one, margin) for one in first[:SPOKEN])
    sentence = f"From {levels[0]} to {levels[-1]} of {factor}, {said}."
    if len(judged) == 1:
        return sentence
    counts = Counter(one.verdict for one in judged)
    words = {
        DIFFERS: f"{counts[DIFFERS]} differ" + ("s" if counts[DIFFERS] == 1 else ""),
        EQUIVALENT: f"{counts[EQUIVALENT]} {'is' if counts[EQUIVALENT] == 1 else 'are'}"
        f" equivalent within {f'{margin:g}'}",
        CANNOT_TELL: f"about {counts[CANNOT_TELL]} this study cannot tell",
    }
    told = listing([words[name] for name in (DIFFERS, EQUIVALENT, CANNOT_TELL) if counts[name]])
    return f"{sentence} Of {len(judged)} comparisons over it, {told}."


def _spoken(judged: Judged, margin: float) -> str:
    comparison = judged.comparison
    name = comparison.quantity
    name += "" if comparison.series == "all cells" else f" ({comparison.series})"
    ends = comparison.pairs.ends if comparison.pairs else None
    if ends is None or ends.value is None:
        return f"{name} goes from {comparison.first} to {comparison.last} ({CANNOT_TELL})"
    change = _change(comparison, ends)
    return f"{name} changes by {change}: {verdict(judged, margin)}"


def _change(comparison: Comparison, found: Difference) -> str:
    """Returns a difference with its interval; a ratio where logarithms were compared."""
    if not comparison.logarithmic:
        metric = "pearson" if comparison.correlation else ""
        return estimate(metric, found.value, found.low, found.high)
    value, low, high = (None if end is None else math.exp(end)
                        for end in (found.value, found.low, found.high))  # fmt: skip
    return f"× {estimate('', value, low, high)}"


def _over(found: Difference) -> str:
    if found.value is None:
        return ""
    repeats = plural(found.repeats, "repeat")
    if TESTS in found.over:
        return f"{repeats}, {plural(found.tests, 'test point')}"
    if found.tests > 1:
        return f"{repeats}; these {found.tests} test points alone"
    return repeats if found.tests else f"{repeats}, each with test points of its own"


def _because(judged: Judged, margin: float) -> list[str]:
    comparison, pairs = judged.comparison, judged.comparison.pairs
    if pairs is None:
        return []
    if pairs.reason is not None:
        return [pairs.reason]
    lines = []
    if judged.verdict == DIFFERS and pairs.clearest is not pairs.ends:
        clear = pairs.clearest
        lines.append(f"clearest from {clear.first} to {clear.second}: {_change(comparison, clear)}")
    lines.append(f"a difference at all: {_p(judged.p_different)}")
    if judged.p_equivalent is not None:
        lines.append(f"{f'{margin:g}'} or more: {_p(judged.p_equivalent)}")
    if judged.detectable:
        lines.append("it differs, by less")
    if judged.verdict == CANNOT_TELL and TESTS in pairs.ends.over and _found(judged.p_anova):
        lines.append("it differs over these test points; of others nobody can tell")
    return lines


def _found(p: float | None) -> bool:
    return p is not None and p < LEVEL


def _anova(found: GroupComparison) -> str:
    if found.f.statistic is None:
        return found.f.reason or ""
    return f"F({found.df_between}, {found.df_within}) = {number(found.f.statistic)}"


def _beside(found: GroupComparison, judged: Judged) -> list[str]:
    if found.f.reason is not None:
        return []
    tests = {"": judged.p_anova, "Welch: ": judged.p_welch, "ranks: ": judged.p_ranks}
    lines = [f"{name}{_p(p)}" for name, p in tests.items() if p is not None]
    return [*lines, *_assumptions(found)]


def _p(p: float | None) -> str:
    return p_value(p).replace(" ", FIXED)


def _assumptions(found: GroupComparison) -> list[str]:
    """Returns what the tests of the assumptions say, uncorrected: that would hide faults."""
    checks = (("variances differ", found.equal_variances), ("not normal", found.normal_residuals))
    failed = [f"{words}: {_p(test.p)}" for words, test in checks if _rejects(test)]
    if failed:
        return failed
    return ["assumptions not rejected"] if found.assumptions_hold else ["assumptions not testable"]


def _rejects(test: HypothesisTest) -> bool:
    return test.p is not None and test.p < LEVEL
