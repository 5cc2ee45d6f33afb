"""The null band has its level, and its closed forms are those of the exact law."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from scipy import integrate, stats

from fragility.statistics import (
    null_half_width,
    null_mean_absolute,
    permutation_band,
    permuted_correlations,
)
from tests.statistics.walk import within

SCIPY = {"pearson": stats.pearsonr, "spearman": stats.spearmanr}


@pytest.mark.parametrize("kind", ["pearson", "spearman"])
@pytest.mark.parametrize("tests", [1, 4])
def test_its_level_is_exact(kind: str, tests: int) -> None:
    """Unrelated scores fall outside a 95 % band in 5 % of trials, whatever the law of either.

    Effects of one removal on the four test points are alike, as they often are, which a band from
    permutations of each test point by itself would be too narrow for.
    """
    rng = np.random.default_rng(0)
    outside = small = 0
    for trial in range(2000):
        scores = rng.standard_t(2, (1, 12)) + 0.5 * rng.standard_t(2, (tests, 12))
        effects = rng.exponential(size=(1, 12)) + 0.3 * rng.exponential(size=(tests, 12))
        found = permutation_band(scores, effects, kind, seed=trial, draws=199)
        outside += not found.low <= found.value <= found.high
        small += found.p <= 0.05
    assert within(outside / 2000, 0.05, 2000)
    assert within(small / 2000, 0.05, 2000)


@pytest.mark.parametrize("kind", ["pearson", "spearman"])
def test_it_is_the_law_of_all_permutations(kind: str) -> None:
    rng = np.random.default_rng(1)
    scores, effects = rng.standard_normal((2, 6))
    every = np.array(
        [SCIPY[kind](scores[list(p)], effects).statistic for p in permutations(range(6))]
    )
    found = permutation_band(scores, effects, kind, seed=0, draws=19_999)
    value = SCIPY[kind](scores, effects).statistic
    assert found.value == pytest.approx(value)
    assert found.p == pytest.approx(np.mean(np.abs(every) >= abs(value) - 1e-9), abs=0.015)
    assert found.mean_absolute == pytest.approx(np.abs(every).mean(), abs=0.01)
    assert (found.low, found.high) == pytest.approx(
        tuple(np.quantile(every, [0.025, 0.975])), abs=0.02
    )


def test_many_tests_are_averaged() -> None:
    rng = np.random.default_rng(2)
    scores, effects = rng.standard_normal((2, 3, 15))
    effects[1] = 0.1
    found = permutation_band(scores, effects, "spearman", seed=0)
    expected = [stats.spearmanr(scores[t], effects[t]).statistic for t in (0, 2)]
    assert found.value == pytest.approx(np.mean(expected))


@pytest.mark.parametrize(("points", "width"), [(25, 0.40), (40, 0.31), (100, 0.20), (500, 0.09)])
def test_the_widths_for_axes(points: int, width: float) -> None:
    assert null_half_width(points) == pytest.approx(width, abs=0.005)


@pytest.mark.parametrize("points", [4, 10, 25, 200])
@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_they_are_those_of_the_exact_law(points: int, confidence: float) -> None:
    law = stats.beta(points / 2 - 1, points / 2 - 1, loc=-1, scale=2)
    assert null_half_width(points, confidence) == pytest.approx(law.ppf((1 + confidence) / 2))
    mean, _ = integrate.quad(lambda r: 2 * r * law.pdf(r), 0, 1)
    assert null_mean_absolute(points) == pytest.approx(mean, rel=1e-6)


def test_the_chance_value_of_an_average_of_absolute_correlations() -> None:
    """What the paper's averages of |Spearman| are by chance alone, by simulation."""
    rng = np.random.default_rng(3)
    for points in (25, 40, 100):
        ranks = rng.permuted(np.tile(np.arange(points), (20_000, 1)), axis=1)
        found = np.abs([np.corrcoef(row, np.arange(points))[0, 1] for row in ranks[:4000]])
        assert null_mean_absolute(points) == pytest.approx(found.mean(), abs=0.006)


@pytest.mark.parametrize("points", [10, 25, 60])
def test_both_bands_agree(points: int) -> None:
    scores, effects = np.random.default_rng(4).standard_normal((2, points))
    for kind in ("pearson", "spearman"):
        found = permutation_band(scores, effects, kind, seed=0, draws=19_999)
        assert found.high == pytest.approx(null_half_width(points), abs=0.03)
        assert found.low == pytest.approx(-null_half_width(points), abs=0.03)
        assert found.mean_absolute == pytest.approx(null_mean_absolute(points), abs=0.01)


def test_few_points_have_none() -> None:
    assert null_half_width(3) is None
    assert null_mean_absolute(3) is None


@pytest.mark.parametrize(
    ("scores", "effects", "draws", "reason"),
    [
        (np.arange(3.0), np.arange(3.0), 199, "3 points; at least 4 are needed"),
        (
            np.arange(5.0),
            np.arange(6.0),
            199,
            r"scores \(1, 5\) and effects \(1, 6\) do not belong",
        ),
        (np.arange(5.0), np.full(5, np.nan), 199, "5 of 5 effects are not finite"),
        (np.arange(5.0), np.ones(5), 199, "constant for every test point"),
        (np.arange(5.0), np.arange(5.0), 38, "too few draws"),
    ],
)
def test_where_there_is_none(scores, effects, draws, reason) -> None:
    found = permutation_band(scores, effects, "pearson", seed=0, draws=draws)
    assert (found.value, found.low, found.high, found.p) == (None, None, None, None)
    with pytest.raises(AssertionError, match=reason):
        raise AssertionError(found.reason)


@pytest.mark.parametrize("kind", ["spearman", "kendall"])
@pytest.mark.parametrize("points", [4, 5, 6, 7])
def test_few_ranks_have_the_law_of_all_orders(kind: str, points: int) -> None:
    correlate = {"spearman": stats.spearmanr, "kendall": stats.kendalltau}[kind]
    ranks = np.arange(points)
    every = np.abs([correlate(ranks, list(p)).statistic for p in permutations(range(points))])
    width = null_half_width(points, kind=kind)
    assert np.mean(every > width + 1e-9) <= 0.05
    assert np.mean(every > width - 1e-9) > 0.05
    assert np.abs(every - width).min() < 1e-12


@pytest.mark.parametrize("points", [9, 20, 60, 100])
def test_kendalls_band_is_that_of_scipys_exact_law(points: int) -> None:
    width = null_half_width(points, kind="kendall")
    pairs = points * (points - 1) // 2
    inverted = round((1 - width) * pairs / 2)

    def p_value(count: int) -> float:
        """Two-sided, of the order with so many inverted pairs."""
        order = np.arange(points)
        for place in range(points):
            moved = min(count, points - 1 - place)
            order[place : place + moved + 1] = np.roll(order[place : place + moved + 1], 1)
            count -= moved
        return float(stats.kendalltau(np.arange(points), order, method="exact").pvalue)

    assert p_value(inverted) > 0.05
    assert p_value(inverted - 1) <= 0.05


def test_laws_of_ranks_go_over_into_those_of_many() -> None:
    assert null_half_width(9, kind="spearman") == pytest.approx(0.683, abs=0.02)
    assert null_half_width(10, kind="spearman") == pytest.approx(0.648, abs=0.02)
    exact, normal = null_half_width(100, kind="kendall"), null_half_width(101, kind="kendall")
    assert normal == pytest.approx(exact, abs=0.002)


def test_permuted_correlations_average_to_the_band() -> None:
    rng = np.random.default_rng(4)
    scores, effects = rng.standard_normal((2, 3, 12))
    effects[1] = 2.0
    drawn = permuted_correlations(scores, effects, "spearman", seed=5, draws=199)
    band = permutation_band(scores, effects, "spearman", seed=5, draws=199)
    means = np.sort(drawn[:, [0, 2]].mean(axis=1))
    assert (means[4], means[-5]) == pytest.approx((band.low, band.high))
    assert np.isnan(drawn[:, 1]).all()
