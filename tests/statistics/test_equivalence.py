"""Two one-sided tests against scipy's one-sided tests, and their level at the margin."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from fragility.statistics import equivalence_of_means, equivalence_of_slope
from tests.statistics.walk import has_nan, within


@pytest.mark.parametrize("difference", [-0.3, -0.05, 0.0, 0.1, 0.4])
def test_means_are_tested_as_welch_does(difference: float) -> None:
    rng = np.random.default_rng(0)
    a, b = difference + 0.2 * rng.standard_normal(30), 0.4 * rng.standard_normal(50)
    found = equivalence_of_means(a, b, margin=0.1)
    above = stats.ttest_ind(a + 0.1, b, equal_var=False, alternative="greater")
    below = stats.ttest_ind(a - 0.1, b, equal_var=False, alternative="less")
    both = stats.ttest_ind(a, b, equal_var=False)
    assert found.difference == pytest.approx(a.mean() - b.mean())
    assert found.p == pytest.approx(max(above.pvalue, below.pvalue))
    assert found.p_zero == pytest.approx(both.pvalue)
    assert (found.low, found.high) == pytest.approx(tuple(both.confidence_interval(0.9)))


@pytest.mark.parametrize("slope", [-0.2, 0.0, 0.03])
def test_slopes_are_tested_as_a_regression_does(slope: float) -> None:
    rng = np.random.default_rng(1)
    x = rng.integers(1, 9, 80).astype(float)
    y = slope * x + 0.3 * rng.standard_normal(80)
    found = equivalence_of_slope(x, y, margin=0.05)
    above = stats.linregress(x, y + 0.05 * x, alternative="greater").pvalue
    below = stats.linregress(x, y - 0.05 * x, alternative="less").pvalue
    fit = stats.linregress(x, y)
    assert found.p == pytest.approx(max(above, below))
    assert (found.difference, found.p_zero) == pytest.approx((fit.slope, fit.pvalue))
    half = stats.t.ppf(0.95, 78) * fit.stderr
    assert (found.low, found.high) == pytest.approx((fit.slope - half, fit.slope + half))


@pytest.mark.parametrize("function", [equivalence_of_means, equivalence_of_slope])
def test_the_answer_follows_from_p(function) -> None:
    rng = np.random.default_rng(2)
    answers = set()
    for _ in range(300):
        a, b = rng.standard_normal((2, 12))
        found = function(a, b + rng.normal() * a + 2 * rng.normal(), margin=0.8)
        answers.add(found.answer)
        assert (found.answer == "equivalent") == (found.p < 0.05)
        assert (found.answer == "different") == (found.low > 0.8 or found.high < -0.8)
    assert answers == {"equivalent", "different", "cannot tell"}


def test_the_level_at_the_margin() -> None:
    """Samples that differ by exactly the margin are called equivalent in 5 % of trials."""
    rng = np.random.default_rng(3)
    means = [
        equivalence_of_means(
            0.1 + 0.1 * rng.standard_normal(40), 0.1 * rng.standard_normal(30), 0.1
        )
        for _ in range(3000)
    ]
    x = np.linspace(0, 1, 50)
    slopes = [
        equivalence_of_slope(x, 0.1 * x + 0.05 * rng.standard_normal(50), 0.1) for _ in range(3000)
    ]
    for found in (means, slopes):
        called = np.mean([one.answer == "equivalent" for one in found])
        assert within(called, 0.05, 3000)


def test_no_significant_difference_is_no_equivalence() -> None:
    a, b = np.random.default_rng(4).standard_normal((2, 6))
    found = equivalence_of_means(a, b, margin=0.1)
    assert found.p_zero > 0.05
    assert found.answer == "cannot tell"


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (equivalence_of_means([1.0], [1.0, 2.0], 0.1), "1 and 2 values; 2 of each are needed"),
        (equivalence_of_means([1.0, 1.0], [2.0, 2.0], 0.1), "do not differ within the samples"),
        (equivalence_of_means([1.0, np.nan], [2.0, 2.0], 0.1), "1 of 4 values are not finite"),
        (equivalence_of_slope([1.0, 2.0], [1.0, 2.0], 0.1), "at least 3 pairs are needed"),
        (equivalence_of_slope([1.0, 2.0, 3.0], [1.0, 2.0], 0.1), "at least 3 pairs are needed"),
        (equivalence_of_slope([1.0, 1.0, 1.0], [1.0, 2.0, 3.0], 0.1), "x does not vary"),
        (equivalence_of_slope([1.0, 2.0, 3.0], [1.0, 2.0, 3.0], 0.1), "lie on a line"),
        (equivalence_of_slope([1.0, 2.0, 3.0], [1.0, 2.0, np.inf], 0.1), "1 of 6 values"),
    ],
)
def test_where_it_means_nothing(found, reason: str) -> None:
    assert reason in found.reason
    assert (found.difference, found.low, found.high, found.p) == (None, None, None, None)
    assert found.answer == "cannot tell"
    assert not has_nan(found)
