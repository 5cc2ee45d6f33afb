"""Do groups of numbers differ: one-way ANOVA, what it assumes, and a rank test beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.special import chdtrc, fdtrc

from fragility.statistics.correlations import midranks
from fragility.statistics.estimate import Array, not_finite

LEVEL = 0.05
"""An assumption is taken to fail when its test rejects at this level."""

MOST_FOR_SHAPIRO = 5000
"""The law of W is tabulated up to here; beyond it any departure, however small, is found."""


@dataclass(frozen=True)
class HypothesisTest:
    """A test statistic and its p-value, both None exactly when `reason` says why."""

    statistic: float | None
    p: float | None
    reason: str | None = None


@dataclass(frozen=True)
class GroupComparison:
    """One-way ANOVA of some groups; all but the tests beside it are None when `f` has a reason.

    `eta_squared` is the share of the sample's variance between groups, `omega_squared` the estimate
    for the population, 0 at least. `equal_variances` is the Brown-Forsythe test, `normal_residuals`
    Shapiro and Wilk's, `welch` the analysis of variance that does without equal variances, `ranks`
    Kruskal and Wallis's. `assumptions_hold` is None when one of the two tests of assumptions cannot
    be made.
    """

    f: HypothesisTest
    df_between: int | None
    df_within: int | None
    eta_squared: float | None
    omega_squared: float | None
    equal_variances: HypothesisTest
    normal_residuals: HypothesisTest
    welch: HypothesisTest
    ranks: HypothesisTest
    assumptions_hold: bool | None


def compare_groups(groups: Sequence[Sequence[float] | Array]) -> GroupComparison:
    """Returns the one-way ANOVA of `groups`, empty ones left out.

    F assumes independent, normal values of equal variance. Where variances differ, Welch's p is the
    one to read; where values are not normal, Kruskal and Wallis's, which assumes only that groups
    differ in nothing but position. A p above the level is no evidence that groups are equal (see
    `equivalence`).

    Source: R. A. Fisher (1925); B. L. Welch, Biometrika 38 (1951) 330-336; M. B. Brown, A. B.
    Forsythe, J. Am. Stat. Assoc. 69 (1974) 364-367; S. S. Shapiro, M. B. Wilk, Biometrika 52 (1965)
    591-611; W. H. Kruskal, W. A. Wallis, J. Am. Stat. Assoc. 47 (1952) 583-621.
    """
    used = [np.asarray(group, dtype=np.float64) for group in groups if len(group)]
    reason = _undefined(used)
    if reason is not None:
        none = HypothesisTest(None, None, reason)
        return GroupComparison(none, None, None, None, None, none, none, none, none, None)
    f = _f_test(used)
    variances = _f_test([np.abs(group - np.median(group)) for group in used])
    residuals = _shapiro(np.concatenate([group - group.mean() for group in used]))
    eta, omega = _effect_sizes(used) if f.reason is None else (None, None)
    held = None
    if variances.p is not None and residuals.p is not None:
        held = variances.p >= LEVEL and residuals.p >= LEVEL
    k, n = len(used), sum(group.size for group in used)
    beside = (variances, residuals, _welch(used), _kruskal(used))
    return GroupComparison(f, k - 1, n - k, eta, omega, *beside, held)


def _undefined(groups: Sequence[Array]) -> str | None:
    if len(groups) < 2:
        return f"{len(groups)} group{'' if len(groups) == 1 else 's'} with values; 2 are needed"
    if all(group.size == 1 for group in groups):
        return "one value a group says nothing of the differences within groups"
    return not_finite("values", np.concatenate(groups))


def _sums_of_squares(groups: Sequence[Array]) -> tuple[float, float]:
    mean = np.concatenate(groups).mean()
    between = sum(group.size * float(group.mean() - mean) ** 2 for group in groups)
    within = sum(float(np.sum((group - group.mean()) ** 2)) for group in groups)
    return between, within


def _f_test(groups: Sequence[Array]) -> HypothesisTest:
    between, within = _sums_of_squares(groups)
    k, n = len(groups), sum(group.size for group in groups)
    if all(bool(np.all(group == group[0])) for group in groups):
        return HypothesisTest(None, None, "the values do not differ within any group")
    f = between / (k - 1) / (within / (n - k))
    return HypothesisTest(f, float(fdtrc(k - 1, n - k, f)))


def _welch(groups: Sequence[Array]) -> HypothesisTest:
    """Returns the test of means in which each group weighs by the inverse variance of its mean."""
    if min(group.size for group in groups) < 2:
        return HypothesisTest(None, None, "a group has one value: its variance is not known")
    variances = np.array([group.var(ddof=1) / group.size for group in groups])
    if not variances.all():
        return HypothesisTest(None, None, "the values of a group do not differ")
    means, k = np.array([group.mean() for group in groups]), len(groups)
    weights = 1 / variances / np.sum(1 / variances)
    freedom = np.array([group.size - 1 for group in groups])
    uneven = float(np.sum((1 - weights) ** 2 / freedom))
    between = float(np.sum((means - weights @ means) ** 2 / variances)) / (k - 1)
    f = between / (1 + 2 * (k - 2) / (k**2 - 1) * uneven)
    return HypothesisTest(f, float(fdtrc(k - 1, (k**2 - 1) / (3 * uneven), f)))


def _effect_sizes(groups: Sequence[Array]) -> tuple[float, float]:
    """Returns eta^2 and omega^2."""
    between, within = _sums_of_squares(groups)
    k, n = len(groups), sum(group.size for group in groups)
    noise = within / (n - k)
    omega = (between - (k - 1) * noise) / (between + within + noise)
    return between / (between + within), max(0.0, omega)


def _kruskal(groups: Sequence[Array]) -> HypothesisTest:
    values = np.concatenate(groups)
    n, k = values.size, len(groups)
    ranks = midranks(values, np.ones(n)) - n / 2
    spread = float(np.sum(ranks**2)) / (n - 1)
    if spread == 0:
        return HypothesisTest(None, None, "all values are equal")
    ends = np.cumsum([0, *(group.size for group in groups)])
    sums = [ranks[start:end].sum() ** 2 / (end - start) for start, end in pairwise(ends)]
    h = float(sum(sums)) / spread
    return HypothesisTest(h, float(chdtrc(k - 1, h)))


def _shapiro(residuals: Array) -> HypothesisTest:
    if residuals.size < 3:
        return HypothesisTest(None, None, f"{residuals.size} residuals; 3 are needed")
    if residuals.size > MOST_FOR_SHAPIRO:
        return HypothesisTest(None, None, f"more than {MOST_FOR_SHAPIRO} residuals")
    if not residuals.any():
        return HypothesisTest(None, None, "the values do not differ within any group")
    # Imported here: it doubles the time that every command which only reads needs to start.
    from scipy.stats import shapiro

    statistic, p = shapiro(residuals)
    return HypothesisTest(float(statistic), float(p))
