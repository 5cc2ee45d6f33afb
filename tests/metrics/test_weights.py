"""Every metric with integer weights equals the audited statistic of the repeated sample."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import spatial, stats

from fragility.metrics import METRICS, Metric, _slopes

KINDS = sorted(METRICS.methods)


def metric(kind: str) -> Metric:
    return METRICS.methods[kind](kind=kind)


def r2(x: np.ndarray, y: np.ndarray) -> float:
    return 1 - np.sum((y - x) ** 2) / np.sum((y - y.mean()) ** 2)


def within_sign(x: np.ndarray, y: np.ndarray) -> float:
    sides = [x > 0, x < 0]
    if any(side.sum() < 2 or np.ptp(x[side]) == 0 or np.ptp(y[side]) == 0 for side in sides):
        return np.nan
    found = [stats.spearmanr(x[side], y[side]).statistic for side in sides]
    return float(np.average(found, weights=[side.sum() for side in sides]))


def theil_sen(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    with np.errstate(invalid="ignore"):  # of its interval, which has none among many ties
        found = stats.theilslopes(y, x)
    return found.slope, found.intercept


def cosine(x: np.ndarray, y: np.ndarray) -> float:
    return 1 - spatial.distance.cosine(x, y) if x.any() and y.any() else np.nan


def relative_error(x: np.ndarray, y: np.ndarray) -> float:
    size = np.median(np.abs(y)) if len(y) else 0
    return np.median(np.abs(x - y)) / size if size else np.nan


def same_sign(x: np.ndarray, y: np.ndarray) -> float:
    both = (x != 0) & (y != 0)
    return float(np.mean(np.sign(x[both]) == np.sign(y[both]))) if both.any() else np.nan


ORACLES: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "pearson": lambda x, y: stats.pearsonr(x, y).statistic,
    "spearman": lambda x, y: stats.spearmanr(x, y).statistic,
    "kendall": lambda x, y: stats.kendalltau(x, y).statistic,
    "slope": lambda x, y: stats.linregress(x, y).slope,
    "intercept": lambda x, y: stats.linregress(x, y).intercept,
    "r2_identity": r2,
    "sign_agreement": same_sign,
    "within_sign": within_sign,
    "cosine": cosine,
    "relative_error": relative_error,
    "theil_sen": lambda x, y: theil_sen(x, y)[0],
    "theil_sen_intercept": lambda x, y: theil_sen(x, y)[1],
}
SHARES_OF_N = {"top_k_precision"}
"""Relative to the number of pairs, which repeating them changes: see their own tests."""

NEEDS_SCORES = {
    "pearson", "spearman", "kendall", "slope", "intercept", "theil_sen", "theil_sen_intercept",
}  # fmt: skip
NEEDS_EFFECTS = {"pearson", "spearman", "kendall", "r2_identity"}


def expected(kind: str, x: np.ndarray, y: np.ndarray) -> float:
    if kind in NEEDS_SCORES and (len(x) == 0 or np.ptp(x) == 0):
        return np.nan
    if kind in NEEDS_EFFECTS and (len(y) == 0 or np.ptp(y) == 0):
        return np.nan
    return ORACLES[kind](x, y)


def test_every_metric_has_an_oracle() -> None:
    assert set(ORACLES) | SHARES_OF_N == set(KINDS)


@st.composite
def weighted_pairs(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Few distinct values, so that ties, zeros and constants are common."""
    n = draw(st.integers(1, 12))
    value = st.integers(-3, 3).map(float) | st.floats(-10, 10).map(lambda v: round(v, 2))
    column = st.lists(value, min_size=n, max_size=n).map(np.array)
    weights = st.lists(st.integers(0, 3), min_size=n, max_size=n).map(np.array)
    return draw(column), draw(column), np.stack([draw(weights), np.ones(n, dtype=int)])


@pytest.mark.parametrize("kind", ORACLES)
@settings(max_examples=60)
@given(pairs=weighted_pairs())
def test_integer_weights_repeat_rows(
    kind: str, pairs: tuple[np.ndarray, np.ndarray, np.ndarray]
) -> None:
    x, y, weights = pairs
    values = metric(kind).values(x, y, weights.astype(float))
    for value, counts in zip(values, weights, strict=True):
        truth = expected(kind, np.repeat(x, counts), np.repeat(y, counts))
        assert value == pytest.approx(truth, rel=1e-9, abs=1e-9, nan_ok=True)


@pytest.mark.parametrize("kind", ORACLES)
@pytest.mark.parametrize("n", [5, 63, 64, 65, 129, 700])
@pytest.mark.parametrize("decimals", [1, 9])
def test_larger_samples(kind: str, n: int, decimals: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_slopes, "MOST_SLOPES", 10**6)
    rng = np.random.default_rng(n)
    x = rng.standard_normal(n).round(decimals)
    y = (x + rng.standard_normal(n)).round(decimals)
    weights = rng.multinomial(n, np.full(n, 1 / n), size=5)
    values = metric(kind).values(x, y, weights.astype(float))
    truth = [expected(kind, np.repeat(x, counts), np.repeat(y, counts)) for counts in weights]
    np.testing.assert_allclose(values, truth, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=40)
@given(pairs=weighted_pairs(), factor=st.sampled_from([1e-6, 0.37, 3.0, 1e9]))
def test_only_relative_weights_count(
    kind: str, pairs: tuple[np.ndarray, np.ndarray, np.ndarray], factor: float
) -> None:
    x, y, weights = pairs
    plain = metric(kind).values(x, y, weights.astype(float))
    scaled = metric(kind).values(x, y, weights * factor)
    np.testing.assert_allclose(scaled, plain, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("kind", ORACLES)
def test_a_draw_without_the_outlier_keeps_its_digits(kind: str) -> None:
    rng = np.random.default_rng(1)
    x = rng.standard_normal(30)
    y = x + rng.standard_normal(30)
    far_x, far_y = np.append(x, 1e12), np.append(y, -3e11)
    counts = np.append(np.ones(30), 0.0)[None]
    value = metric(kind).values(far_x, far_y, counts)[0]
    assert value == pytest.approx(expected(kind, x, y), rel=1e-4)


ANY = st.floats(allow_nan=False, allow_infinity=False)


@pytest.mark.parametrize("kind", KINDS)
@given(pairs=st.lists(st.tuples(ANY, ANY), min_size=4, max_size=8))
def test_no_warning_and_no_infinity_whatever_the_size(
    kind: str, pairs: list[tuple[float, float]]
) -> None:
    x, y = np.array(pairs).T
    weights = np.vstack([np.ones(len(x)), np.eye(len(x)), np.zeros(len(x))])
    values = metric(kind).values(x, y, weights)
    assert not np.isinf(values).any()
    if kind in {"pearson", "spearman", "kendall"}:
        assert np.isnan(values[1:]).all()
        assert np.isnan(values[0]) == (metric(kind).undefined(x, y) is not None)
        assert not np.abs(values[0]) > 1
