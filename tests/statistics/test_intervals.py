"""Percentile and BCa intervals against scipy's, from the same draws."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats

from fragility.statistics import bca_interval, percentile_interval
from fragility.statistics.intervals import acceleration, expanded_tail

STATISTICS = {
    "mean": np.mean,
    "log mean": lambda x, axis: np.log(np.mean(x, axis=axis)),
    "variance": np.var,
}


@pytest.mark.parametrize("name", STATISTICS)
@pytest.mark.parametrize("method", ["percentile", "BCa"])
def test_they_are_scipys(name: str, method: str) -> None:
    statistic = STATISTICS[name]
    rng = np.random.default_rng(0)
    x = rng.exponential(size=25)
    draws = statistic(x[rng.integers(0, 25, size=(999, 25))], axis=1)
    theirs = stats.bootstrap(
        (x,),
        statistic,
        n_resamples=0,
        method=method,
        bootstrap_result=SimpleNamespace(bootstrap_distribution=draws),
    ).confidence_interval
    left_out = np.array([statistic(np.delete(x, i), axis=0) for i in range(25)])
    influences = 24 / 25 * (left_out.mean() - left_out)
    ours = (
        percentile_interval(draws, 0.025)
        if method == "percentile"
        else bca_interval(draws, statistic(x, axis=0), acceleration(influences), 0.025)
    )
    assert ours == pytest.approx((theirs.low, theirs.high), rel=1e-12)


def test_draws_on_one_side_correct_no_bias() -> None:
    draws = np.linspace(1, 2, 101)
    assert bca_interval(draws, 0.0, 0.0, 0.05) == percentile_interval(draws, 0.05)


def test_nothing_varies() -> None:
    assert acceleration(np.zeros(5)) == 0


@pytest.mark.parametrize("n", [5, 10, 40])
def test_the_expanded_tail_gives_students_interval(n: int) -> None:
    """Of normal draws with the bootstrap's standard error, sqrt((n-1)/n) of the right one."""
    tail = expanded_tail(0.95, n - 1, np.sqrt(n / (n - 1)))
    sample = np.random.default_rng(1).standard_normal(n)
    error = sample.std() / np.sqrt(n)
    student = stats.t.interval(0.95, n - 1, sample.mean(), stats.sem(sample))
    assert stats.norm.ppf(tail, sample.mean(), error) == pytest.approx(student[0])


def test_the_tail_is_nominal_for_many_units() -> None:
    assert expanded_tail(0.95, np.inf, 1.0) == pytest.approx(0.025)
    assert expanded_tail(0.90, 1e7, 1.0) == pytest.approx(0.05, rel=1e-5)
