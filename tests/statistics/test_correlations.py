"""Weighted correlations against scipy's of the sample in which pairs are repeated."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from fragility.metrics import METRICS
from fragility.statistics.correlations import CORRELATIONS, midranks
from fragility.statistics.fixed_correlations import FIXED

SCIPY = {"pearson": stats.pearsonr, "spearman": stats.spearmanr}


@pytest.mark.parametrize("kind", ["pearson", "spearman"])
@pytest.mark.parametrize("ties", [False, True])
def test_integer_weights_repeat_pairs(kind: str, ties: bool) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((2, 6, 30))
    if ties:
        x, y = np.round(x), np.round(2 * y) / 2
    counts = rng.multinomial(30, np.full(30, 1 / 30), size=6)
    found = CORRELATIONS[kind](x, y, counts.astype(float))
    expected = [
        SCIPY[kind](np.repeat(a, c), np.repeat(b, c)).statistic
        for a, b, c in zip(x, y, counts, strict=True)
    ]
    assert found == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("kind", ["pearson", "spearman"])
def test_rows_are_broadcast(kind: str) -> None:
    rng = np.random.default_rng(1)
    x, y, weights = rng.standard_normal(9), rng.standard_normal((4, 1, 9)), rng.random((1, 5, 9))
    found = CORRELATIONS[kind](x, y, weights)
    assert found.shape == (4, 5)
    assert found[3, 2] == pytest.approx(CORRELATIONS[kind](x, y[3, 0], weights[0, 2]))


def test_midranks_are_scipys() -> None:
    values = np.random.default_rng(2).integers(0, 6, size=(5, 40)).astype(float)
    found = midranks(values, np.ones(40)) + 0.5
    assert np.array_equal(found, stats.rankdata(values, axis=1))


@pytest.mark.parametrize("kind", ["pearson", "spearman"])
@pytest.mark.parametrize("scale", [1e-200, 1e-9, 1.0, 1e200])
def test_the_unit_does_not_matter(kind: str, scale: float) -> None:
    x, y = np.random.default_rng(3).standard_normal((2, 20))
    ones = np.ones(20)
    correlation = CORRELATIONS[kind]
    assert correlation(scale * x, y, ones) == pytest.approx(correlation(x, y, ones))


@pytest.mark.parametrize("kind", ["pearson", "spearman"])
def test_constant_or_weightless_rows_have_none(kind: str) -> None:
    x = np.random.default_rng(4).standard_normal(7)
    correlation = CORRELATIONS[kind]
    assert np.isnan(correlation(np.full(7, 0.1), x, np.ones(7)))
    assert np.isnan(correlation(x, np.zeros(7), np.ones(7)))
    assert np.isnan(correlation(x, x, np.zeros(7)))
    assert np.isnan(correlation(x, x, np.eye(7)[2]))


@pytest.mark.parametrize("kind", ["pearson", "spearman"])
@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("scale", [1e-200, 1.0, 1e200])
def test_fixed_rows_give_the_same(kind: str, ties: bool, scale: float) -> None:
    rng = np.random.default_rng(5)
    x, y = rng.standard_normal((2, 7, 12))
    if ties:
        x, y = np.round(x), np.round(2 * y)
    y[3] = 0.1
    x[4, 0] = 1e9
    counts = rng.multinomial(12, np.full(12, 1 / 12), size=40).astype(float)
    counts[0] = 12 * np.eye(12)[5]
    counts[1] = 6 * (np.eye(12)[2] + np.eye(12)[7])
    x, y = scale * x / 1e9, scale * y
    expected = CORRELATIONS[kind](x, y, counts[:, None, :])
    found = FIXED[kind](x, y)(counts)
    assert np.isnan(found[:, 3]).all()
    assert np.isnan(found[0]).all()
    assert np.array_equal(np.isnan(found), np.isnan(expected))
    assert found == pytest.approx(expected, abs=1e-9, nan_ok=True)


@pytest.mark.parametrize("kind", ["pearson", "spearman"])
def test_the_metrics_give_the_same(kind: str) -> None:
    rng = np.random.default_rng(6)
    x, y = np.round(rng.standard_normal((2, 3, 25)), 1)
    weights = rng.multinomial(25, np.full(25, 1 / 25), size=30).astype(float)
    metric = METRICS.methods[kind](kind=kind)
    expected = [metric.statistic(a, b)(weights) for a, b in zip(x, y, strict=True)]
    assert pytest.approx(np.array(expected)) == FIXED[kind](x, y)(weights).T


@pytest.mark.parametrize("kind", ["pearson", "spearman"])
@pytest.mark.parametrize("ties", [False, True])
def test_fixed_rows_may_have_weights_of_their_own(kind: str, ties: bool) -> None:
    rng = np.random.default_rng(9)
    x, y = rng.standard_normal((2, 4, 15))
    if ties:
        x, y = np.round(x), np.round(y)
    x[2] = 1.0
    y[3] += 1e9
    weights = rng.integers(0, 4, (6, 4, 15)).astype(float)
    found = FIXED[kind](x, y)(weights)
    np.testing.assert_allclose(found, CORRELATIONS[kind](x[None], y[None], weights), atol=1e-7)
    assert np.isnan(found[:, 2]).all()
    shared = FIXED[kind](x, y)(weights[:, 0])
    repeated = FIXED[kind](x, y)(np.repeat(weights[:, :1], 4, axis=1))
    np.testing.assert_allclose(shared, repeated, atol=1e-12)
