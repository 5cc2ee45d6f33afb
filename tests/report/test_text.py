from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from fragility.report import statistics, text
from fragility.report.yaml import pieces


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.996, "0.996"),
        (0.81, "0.810"),
        (1.07, "1.07"),
        (12.345, "12.3"),
        (-0.5, "−0.500"),
        (0.0, "0"),
        (37, "37"),
        (4000.5, "4\u202f000"),
        (99.96, "100"),
        (3.2e-9, "3.20\u202f×\u202f10⁻⁹"),
        (1e6, "1.00\u202f×\u202f10⁶"),
        (None, "–"),
        (math.nan, "–"),
    ],
)
def test_numbers_have_three_digits(value: float | None, expected: str) -> None:
    assert text.number(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.05, "0.050"),
        (0.996, "0.996"),
        (0.9998, "0.9998"),
        (1.0, "1.000"),
        (-0.00001, "0.000"),
        (-3.5, "−3.50"),
        (None, "–"),
    ],
)
def test_bounded_metrics_keep_the_nines_they_need(value: float | None, expected: str) -> None:
    assert text.metric_value("pearson", value) == expected


def test_an_interval_has_the_decimals_of_its_value() -> None:
    assert text.estimate("pearson", 0.9998, 0.9991, 0.99995) == "0.99980 [0.99910,\u00a00.99995]"


@given(st.floats(0, 1))
def test_only_certainty_is_printed_as_certainty(share: float) -> None:
    shown = text.percent(share)
    assert (shown == "100\u202f%") == (share == 1)
    assert (shown == "0\u202f%") == (share == 0)


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0.412, "0.41 s"),
        (29.4, "29 s"),
        (59.7, "1 min 00 s"),
        (252.0, "4 min 12 s"),
        (7380.0, "2 h 03 min"),
    ],
)
def test_durations(seconds: float, expected: str) -> None:
    assert text.duration(seconds).replace("\u202f", " ") == expected


@given(st.text(alphabet="abc:#'\"{}[], \n-"))
def test_colouring_a_study_keeps_its_text(source: str) -> None:
    assert "".join(piece for _, piece in pieces(source)) == source


def test_colouring_finds_keys_strings_and_comments() -> None:
    found = [(kind, piece) for kind, piece in pieces('a: {b: "c:d"}  # e: f') if kind]
    assert found == [("k", "a"), ("k", "b"), ("s", '"c:d"'), ("c", "# e: f")]


def test_null_band_is_the_critical_value_of_pearson() -> None:
    band = statistics.null_band("pearson", 25)
    assert band is not None
    n, r = 25, band[1]
    t = r * math.sqrt((n - 2) / (1 - r * r))
    assert stats.t.sf(t, n - 2) == pytest.approx(0.025)
    assert statistics.null_band("slope", 25) is None


def test_trend_agrees_with_scipy() -> None:
    rng = np.random.default_rng(0)
    x = np.repeat(np.arange(3.0), 12)
    y = x / 2 + rng.normal(0, 1, 36)
    assert statistics.trend(x, y) == pytest.approx(stats.spearmanr(x, y).statistic)


def test_mean_interval_agrees_with_scipy() -> None:
    values = np.random.default_rng(1).normal(size=7)
    found = statistics.mean_interval(values)
    expected = stats.t.interval(0.95, 6, values.mean(), stats.sem(values))
    assert (found.low, found.high) == pytest.approx(expected)
    assert statistics.mean_interval([1.0]).low is None
