"""Correlation within the signs of the scores: blind to what tells the signs apart."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fragility.metrics.spearman import Spearman
from fragility.metrics.within_sign import WithinSign


def value(x: np.ndarray, y: np.ndarray) -> float:
    return float(WithinSign().values(x, y, np.ones((1, len(x))))[0])


def test_two_clusters_alone_give_nothing() -> None:
    rng = np.random.default_rng(0)
    sign = np.repeat([1.0, -1.0], 500)
    x = sign * rng.uniform(1, 2, 1000)
    y = sign * rng.uniform(1, 2, 1000)
    assert Spearman().values(x, y, np.ones((1, 1000)))[0] > 0.7
    assert abs(value(x, y)) < 0.1


@given(
    st.lists(st.integers(-20, 20), min_size=6, max_size=20),
    st.integers(-50, 50),
    st.sampled_from([0.5, 1.0, 3.0]),
)
def test_each_sign_may_be_shifted_and_stretched_by_itself(
    scores: list[int], shift: int, factor: float
) -> None:
    x = np.array(scores, dtype=float)
    y = np.round(np.cos(np.arange(len(x))), 3)
    moved = np.where(x > 0, factor * y + shift, y)
    stretched = np.where(x < 0, factor * x, x**3)
    truth = value(x, y)
    assert value(x, moved) == pytest.approx(truth, nan_ok=True)
    assert value(stretched, y) == pytest.approx(truth, nan_ok=True)
    assert value(-x, -y) == pytest.approx(truth, nan_ok=True)
    assert value(x, -y) == pytest.approx(-truth, nan_ok=True)


@pytest.mark.parametrize(
    ("scores", "effects", "reason"),
    [
        ([1, 2, 3, 4, -1, -2, -3], [1, 2, 3, 4, 5, 6, 7], "3 of 7 scores are negative; at least 4"
         " of each sign are needed"),
        ([0, 1, 2, 3, -1, -2, -3, -4], [1, 2, 3, 4, 5, 6, 7, 8], "3 of 8 scores are positive; at"
         " least 4 of each sign are needed"),
        ([1, 1, 1, 1, -1, -2, -3, -4], [1, 2, 3, 4, 5, 6, 7, 8], "all 4 positive scores are equal"),
        ([1, 2, 3, 4, -1, -2, -3, -4], [1, 2, 3, 4, 5, 5, 5, 5],
         "all 4 effects of negative scores are equal"),
    ],
)  # fmt: skip
def test_no_value_has_a_reason(scores: list[float], effects: list[float], reason: str) -> None:
    assert WithinSign().undefined(np.array(scores), np.array(effects)) == reason
