"""Averages of correlations as Fisher's z."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from fragility.statistics import fisher_mean
from tests.statistics.walk import has_nan, within


def test_the_interval_is_students_of_z() -> None:
    r = np.random.default_rng(0).uniform(-0.2, 0.9, 12)
    found = fisher_mean(r)
    z = np.arctanh(r)
    low, high = stats.t.interval(0.95, 11, z.mean(), stats.sem(z))
    assert found.value == pytest.approx(np.tanh(z.mean()))
    assert (found.low, found.high) == pytest.approx((np.tanh(low), np.tanh(high)))


def test_its_level_and_its_bias() -> None:
    """Correlations of 20 normal pairs: the plain mean is too low by r(1 - r^2)/40, this is not."""
    rng = np.random.default_rng(1)
    covered, means, plain = 0, [], []
    for _ in range(1500):
        x, e = rng.standard_normal((2, 8, 20))
        y = 0.6 * x + 0.8 * e
        x, y = (side - side.mean(axis=1, keepdims=True) for side in (x, y))
        r = np.sum(x * y, axis=1) / np.sqrt(np.sum(x**2, axis=1) * np.sum(y**2, axis=1))
        found = fisher_mean(r)
        covered += found.low <= 0.6 <= found.high
        means.append(found.value)
        plain.append(r.mean())
    assert within(covered / 1500, 0.95, 1500)
    assert np.mean(plain) == pytest.approx(0.6 - 0.6 * 0.64 / 40, abs=0.004)
    assert abs(np.mean(means) - 0.6) < abs(np.mean(plain) - 0.6)


def test_perfect_correlations_count_as_nearly_perfect() -> None:
    found = fisher_mean([1.0, 1.0, -1.0])
    assert found.value == pytest.approx(np.tanh(np.arctanh(1 - 1e-6) / 3))


@pytest.mark.parametrize(
    ("given", "value", "reason"),
    [
        ([], None, "there are no correlations"),
        ([0.5], 0.5, "one correlation has no interval"),
        ([0.5, np.nan], None, "1 of 2 correlations are not finite"),
        ([0.5, 1.1], None, "a correlation lies outside [-1, 1]"),
    ],
)
def test_where_it_means_nothing(given: list[float], value: float | None, reason: str) -> None:
    found = fisher_mean(given)
    assert found.value == (None if value is None else pytest.approx(value))
    assert (found.low, found.high, found.reason) == (None, None, reason)
    assert not has_nan(found)
