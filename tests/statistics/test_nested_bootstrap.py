"""The bootstrap against scipy's on one axis, and its level in crossed and nested models."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats

from fragility.statistics import Axis, Weights, nested_bootstrap
from fragility.statistics.intervals import expanded_tail
from fragility.statistics.resampling import counts
from tests.statistics.walk import has_nan


def mean_of(table: np.ndarray, *names: str):
    """The weighted mean of a table with one axis for each name."""

    def statistic(weights: Weights) -> np.ndarray:
        first, *others = (
            weights[name] / weights[name].sum(axis=1, keepdims=True) for name in names
        )
        found = np.tensordot(first, table, 1)
        for other in others:
            found = np.einsum("dn,dn...->d...", other, found)
        return found

    return statistic


@pytest.mark.parametrize("method", ["percentile", "bca"])
def test_one_axis_is_scipys_at_the_expanded_level(method: str) -> None:
    x = np.random.default_rng(0).exponential(size=30)
    axis = Axis("repeats", 30)
    found = nested_bootstrap(mean_of(x, "repeats"), [axis], seed=5, draws=1500, method=method)
    draws = counts([axis], 1500, seed=5)["repeats"] @ x / 30
    tail = expanded_tail(0.95, 29, np.sqrt(30 / 29))
    theirs = stats.bootstrap(
        (x,),
        np.mean,
        n_resamples=0,
        confidence_level=1 - 2 * tail,
        method="BCa" if method == "bca" else "percentile",
        bootstrap_result=SimpleNamespace(bootstrap_distribution=draws),
    ).confidence_interval
    assert (found.estimate.low, found.estimate.high) == pytest.approx((theirs.low, theirs.high))
    assert found.estimate.value == pytest.approx(x.mean())
    assert found.standard_error == pytest.approx(stats.sem(x), rel=0.06)
    assert found.freedom == pytest.approx(29)
    assert found.resampled == ("repeats",)


def crossed(rng: np.random.Generator, s: int, t: int, sd: tuple[float, ...]) -> np.ndarray:
    repeats, tests, rest = sd
    return (
        repeats * rng.standard_normal((s, 1))
        + tests * rng.standard_normal((1, t))
        + rest * rng.standard_normal((s, t))
    )


@pytest.mark.parametrize(
    ("method", "s", "t", "sd"),
    [
        ("percentile", 10, 8, (1.0, 1.0, 1.0)),
        ("percentile", 8, 25, (1.0, 0.3, 1.0)),
        ("bca", 15, 10, (0.4, 0.4, 1.0)),
    ],
)
def test_intervals_over_crossed_repeats_and_tests_have_their_level(method, s, t, sd) -> None:
    """Of 95 % intervals for the mean of a crossed random-effects model, 92 to 97 % hold it."""
    rng = np.random.default_rng(1)
    axes = [Axis("repeats", s), Axis("tests", t)]
    covered = 0
    for trial in range(800):
        table = crossed(rng, s, t, sd)
        found = nested_bootstrap(
            mean_of(table, "repeats", "tests"), axes, seed=trial, draws=500, method=method
        ).estimate
        covered += found.low <= 0 <= found.high
    assert 0.92 <= covered / 800 <= 0.97


def test_intervals_over_nested_tests_have_their_level() -> None:
    """When each repeat has test points of its own, only repeats are resampled."""
    rng = np.random.default_rng(2)
    axes = [Axis("repeats", 12), Axis("tests", 5, nested_in="repeats")]
    covered = 0
    for trial in range(1000):
        table = 0.5 * rng.standard_normal((12, 1)) + rng.standard_normal((12, 5))
        found = nested_bootstrap(mean_of(table, "repeats", "tests"), axes, seed=trial, draws=1000)
        assert found.resampled == ("repeats",)
        covered += found.estimate.low <= 0 <= found.estimate.high
    assert 0.92 <= covered / 1000 <= 0.97


def test_resampling_everything_at_face_value_would_be_too_wide() -> None:
    """Why the level is calibrated: with residual noise alone, products of counts triple it."""
    table = np.random.default_rng(3).standard_normal((20, 20))
    axes = [Axis("repeats", 20), Axis("tests", 20)]
    found = nested_bootstrap(mean_of(table, "repeats", "tests"), axes, seed=0)
    weights = counts(axes, 2000, seed=0)
    naive = mean_of(table, "repeats", "tests")(weights).std()
    assert naive == pytest.approx(np.sqrt(3) * table.std() / 20, rel=0.1)
    assert found.standard_error < 0.85 * naive


def test_resampling_replicates_does_not_shift_a_correlation() -> None:
    """Half of the replicates have a noisier mean; the interval is about all of them even so."""
    rng = np.random.default_rng(4)
    x = rng.standard_normal(400)
    effects = x + 2 * rng.standard_normal((6, 400))

    def correlation(weights: Weights) -> np.ndarray:
        means = weights["replicates"] @ effects
        return np.array([stats.pearsonr(x, mean).statistic for mean in means])

    axes = [Axis("replicates", 6, averaged=True)]
    found = nested_bootstrap(correlation, axes, seed=0, draws=400)
    drawn = correlation(counts(axes, 400, seed=0))
    assert drawn.max() < found.estimate.value
    assert found.estimate.low < found.estimate.value < found.estimate.high


def test_more_confidence_is_wider_and_the_seed_decides() -> None:
    table = np.random.default_rng(5).standard_normal((10, 6))
    axes = [Axis("repeats", 10), Axis("tests", 6)]
    statistic = mean_of(table, "repeats", "tests")
    narrow, wide, again = (
        nested_bootstrap(statistic, axes, seed=0, confidence=c) for c in (0.8, 0.95, 0.95)
    )
    assert wide.estimate.low < narrow.estimate.low
    assert narrow.estimate.high < wide.estimate.high
    assert wide == again
    assert wide != nested_bootstrap(statistic, axes, seed=1)


def test_undefined_draws_are_left_out_and_counted() -> None:
    x = np.random.default_rng(6).standard_normal(10)

    def without_the_first(weights: Weights) -> np.ndarray:
        found = mean_of(x, "repeats")(weights)
        return np.where(weights["repeats"][:, 0] > 0, found, np.inf)

    found = nested_bootstrap(without_the_first, [Axis("repeats", 10)], seed=0)
    assert found.undefined == pytest.approx(0.9**10, abs=0.03)
    assert found.estimate.reason is None


@pytest.mark.parametrize(
    ("statistic", "axes", "reason"),
    [
        (lambda w: np.full(len(w["a"]), np.nan), [Axis("a", 9)], "the statistic has no value"),
        (lambda w: np.ones(len(w["a"])), [Axis("a", 1)], "one unit on every axis"),
        (
            lambda w: np.where(np.all(w["a"] == 1, axis=1), 1.0, np.nan),
            [Axis("a", 9)],
            "100% of the resamples have no value",
        ),
        (lambda w: w["a"] @ np.arange(3.0), [Axis("a", 3)], "too few units .*3 a: 2.0 degrees"),
    ],
)
@pytest.mark.parametrize("method", ["percentile", "bca"])
def test_where_there_is_no_interval(statistic, axes, reason, method) -> None:
    found = nested_bootstrap(statistic, axes, seed=0, method=method)
    assert (found.estimate.low, found.estimate.high, found.standard_error) == (None, None, None)
    with pytest.raises(AssertionError, match=reason):
        raise AssertionError(found.estimate.reason)
    assert not has_nan(found)


@pytest.mark.parametrize("method", ["percentile", "bca"])
def test_what_does_not_vary_is_known(method: str) -> None:
    found = nested_bootstrap(
        lambda w: np.full(len(w["a"]), 0.3), [Axis("a", 9), Axis("b", 4)], seed=0, method=method
    )
    assert (found.estimate.low, found.estimate.value, found.estimate.high) == (0.3, 0.3, 0.3)
    assert found.standard_error == 0


def test_the_error_of_a_stratified_mean_is_the_textbooks() -> None:
    """Cochran, Sampling Techniques, 5.3: what strata differ by has no part in the error."""
    rng = np.random.default_rng(0)
    sizes, means = (30, 10), (0.0, 50.0)
    values = np.concatenate([m + rng.standard_normal(n) for n, m in zip(sizes, means, strict=True)])
    strata = (tuple(range(30)), tuple(range(30, 40)))

    def mean(weights: Weights) -> np.ndarray:
        return weights["points"] @ values / weights["points"].sum(axis=1)

    found = nested_bootstrap(mean, [Axis("points", 40, strata=strata)], seed=0)
    parts = [values[:30].var(ddof=1) / 30 * (30 / 40) ** 2, values[30:].var(ddof=1) / 10 / 16]
    assert found.standard_error == pytest.approx(np.sqrt(sum(parts)), rel=0.1)
    alone = nested_bootstrap(mean, [Axis("points", 40)], seed=0)
    assert alone.standard_error > 5 * found.standard_error
