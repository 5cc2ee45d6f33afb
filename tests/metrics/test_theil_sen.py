"""The Theil-Sen line: robust, and the same line from a part of the slopes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from fragility.metrics import _slopes
from fragility.metrics._medians import median
from fragility.metrics._slopes import MOST_SLOPES, compared
from fragility.metrics.theil_sen import TheilSen
from fragility.metrics.theil_sen_intercept import TheilSenIntercept


def line(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    ones = np.ones((1, len(x)))
    return TheilSen().values(x, y, ones)[0], TheilSenIntercept().values(x, y, ones)[0]


def test_a_quarter_of_outliers_moves_it_little() -> None:
    x = np.linspace(-1, 1, 100)
    y = 0.3 + 2 * x
    y[::4] = 1e6
    slope, intercept = line(x, y)
    assert slope == pytest.approx(2, rel=0.05)
    assert intercept == pytest.approx(np.median(y) - 2 * np.median(x), abs=0.05)
    assert abs(stats.linregress(x, y).slope) > 1000


@pytest.mark.parametrize("n", [4, 50, 200])
def test_up_to_200_points_every_two_are_compared(n: int) -> None:
    pairs = {frozenset(pair) for pair in zip(*compared(n), strict=True)}
    assert len(pairs) == n * (n - 1) // 2


@pytest.mark.parametrize("n", [201, 455, 1000, 30_000])
def test_beyond_each_is_compared_with_equally_many_others(n: int) -> None:
    first, second = compared(n)
    assert len(first) == max(n, MOST_SLOPES // n * n)
    assert len({frozenset(pair) for pair in zip(first, second, strict=True)}) == len(first)
    assert (first != second).all()
    assert np.ptp(np.bincount(np.concatenate([first, second]), minlength=n)) == 0


def test_a_part_of_the_slopes_has_the_median_of_all() -> None:
    rng = np.random.default_rng(0)
    found, truth = [], []
    for _ in range(20):
        x = rng.standard_normal(600)
        y = x + rng.standard_normal(600)
        found.append(line(x, y)[0])
        truth.append(stats.theilslopes(y, x).slope)
    # Of 20,000 independent slopes, Cauchy with scale 1, the median errs by pi / 2 / sqrt(20,000).
    missed = np.array(found) - truth
    assert 0.002 < np.sqrt(np.mean(missed**2)) < 1.2 * np.pi / 2 / np.sqrt(MOST_SLOPES)
    assert abs(missed.mean()) < 0.008


def test_memory_is_bounded_by_the_draws_taken_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((2, 60))
    weights = rng.multinomial(60, np.full(60, 1 / 60), size=50).astype(float)
    together = TheilSen().values(x, y, weights)
    monkeypatch.setattr(_slopes, "AT_ONCE", 3 * 60 * 59 // 2)
    assert TheilSen().values(x, y, weights) == pytest.approx(together)


@given(
    st.lists(
        st.tuples(st.floats(-5, 5) | st.integers(-1, 1).map(float), st.integers(0, 3)),
        min_size=1,
        max_size=200,
    )
)
def test_the_weighted_median_is_that_of_the_repeated_values(rows: list[tuple[float, int]]) -> None:
    values, counts = (np.array(column) for column in zip(*rows, strict=True))
    found = median(values.astype(float))(counts.astype(float)[:, None])
    repeated = np.repeat(values, counts)
    truth = [np.median(repeated) if len(repeated) else np.nan]
    np.testing.assert_allclose(found, truth, rtol=1e-12, atol=1e-12)


@given(st.lists(st.integers(-300, 300), min_size=5, max_size=12, unique=True), st.floats(-4, 4))
def test_adding_a_line_adds_its_slope(scores: list[int], slope: float) -> None:
    x = np.array(scores) / 100
    y = np.sin(7 * x)
    assert line(x, y + slope * x + 1)[0] == pytest.approx(line(x, y)[0] + slope, abs=1e-9)
