"""Analysis of variance, what it assumes, and the rank test, against scipy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from fragility.statistics import compare_groups
from tests.statistics.walk import has_nan, within

SIZES = (50, 41, 18, 5)


def groups(seed: int = 0, shift: float = 0.3) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(size) + shift * i for i, size in enumerate(SIZES)]


@pytest.mark.parametrize("decimals", [12, 0])
def test_every_test_is_scipys(decimals: int) -> None:
    given = [np.round(group, decimals) for group in groups()]
    found = compare_groups([*given, []])
    for ours, theirs in (
        (found.f, stats.f_oneway(*given)),
        (found.equal_variances, stats.levene(*given, center="median")),
        (found.ranks, stats.kruskal(*given)),
        (found.welch, stats.f_oneway(*given, equal_var=False)),
        (found.normal_residuals, stats.shapiro(np.concatenate([g - g.mean() for g in given]))),
    ):
        assert (ours.statistic, ours.p) == pytest.approx((theirs.statistic, theirs.pvalue))
    assert (found.df_between, found.df_within) == (3, 110)


def test_effect_sizes_are_functions_of_f() -> None:
    found = compare_groups(groups())
    f, k, n = found.f.statistic, len(SIZES), sum(SIZES)
    assert found.eta_squared == pytest.approx((k - 1) * f / ((k - 1) * f + n - k))
    assert found.omega_squared == pytest.approx((k - 1) * (f - 1) / ((k - 1) * (f - 1) + n))


def test_omega_is_about_the_population_and_eta_is_not() -> None:
    """Groups whose means have variance 1/4 beside a variance of 1 within: a share of 0.2."""
    rng = np.random.default_rng(1)
    means = np.array([-1.0, 0.0, 1.0]) * np.sqrt(3 / 8)
    found = [compare_groups([m + rng.standard_normal(8) for m in means]) for _ in range(600)]
    assert np.mean([one.omega_squared for one in found]) == pytest.approx(0.2, abs=0.02)
    assert np.mean([one.eta_squared for one in found]) > 0.24


def test_assumptions() -> None:
    rng = np.random.default_rng(2)
    held = np.mean([compare_groups(groups(seed)).assumptions_hold for seed in range(400)])
    assert within(held, 0.95**2, 400)
    spread = [rng.standard_normal(40), 3 * rng.standard_normal(40)]
    assert compare_groups(spread).assumptions_hold is False
    assert (
        compare_groups([rng.exponential(size=40) ** 2 for _ in range(2)]).assumptions_hold is False
    )


def test_the_level_is_exact_for_normal_values() -> None:
    small = [compare_groups(groups(seed, shift=0.0)).f.p < 0.05 for seed in range(1000)]
    assert within(np.mean(small), 0.05, 1000)


def test_welchs_f_of_two_groups_is_the_square_of_his_t() -> None:
    a, b = groups()[1:3]
    t = stats.ttest_ind(a, b, equal_var=False)
    found = compare_groups([a, b]).welch
    assert (found.statistic, found.p) == pytest.approx((t.statistic**2, t.pvalue))


def test_welch_keeps_its_level_where_variances_differ() -> None:
    """The small group has the large variance, where F rejects far too often."""
    rng = np.random.default_rng(3)
    found = [
        compare_groups(
            [rng.standard_normal(30), rng.standard_normal(30), 4 * rng.standard_normal(8)]
        )
        for _ in range(1000)
    ]
    assert within(np.mean([one.welch.p < 0.05 for one in found]), 0.05, 1000)
    assert np.mean([one.f.p < 0.05 for one in found]) > 0.15


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ([], "0 groups with values; 2 are needed"),
        ([[1.0, 2.0], []], "1 group with values; 2 are needed"),
        ([[1.0], [2.0]], "one value a group"),
        ([[1.0, np.nan], [2.0, 3.0]], "1 of 4 values are not finite"),
        ([[1.0, 1.0], [2.0, 2.0]], "do not differ within any group"),
    ],
)
def test_where_it_means_nothing(given: list[list[float]], reason: str) -> None:
    found = compare_groups(given)
    assert reason in found.f.reason
    assert (found.f.statistic, found.f.p, found.eta_squared) == (None, None, None)
    assert found.assumptions_hold is None
    assert not has_nan(found)


def test_parts_that_cannot_be_had_say_so() -> None:
    equal = compare_groups([[1.0, 1.0], [1.0, 1.0]])
    assert equal.ranks.reason == "all values are equal"
    two = compare_groups([[1.0, 2.0], [3.0, 4.0]])
    assert two.f.reason is None
    assert two.equal_variances.reason == "the values do not differ within any group"
    assert compare_groups([[1.0], [3.0, 4.0]]).welch.reason.startswith("a group has one value")
    assert compare_groups([[1.0, 1.0], [3.0, 4.0]]).welch.reason.endswith("do not differ")
    many = compare_groups([np.arange(3000.0), np.arange(3000.0)])
    assert many.normal_residuals.reason == "more than 5000 residuals"
    assert many.assumptions_hold is None
