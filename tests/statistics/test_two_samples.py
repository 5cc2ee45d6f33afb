"""Two samples: intervals and tests against scipy, and how often the answer is wrong."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from fragility.statistics import (
    LEVEL,
    MARGIN,
    compare_samples,
    holm,
    median_difference,
    two_samples,
)
from tests.statistics.walk import has_nan, within


def test_the_interval_is_scipys_bootstrap() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal(50), 0.5 * rng.standard_normal(41)
    found = median_difference(a, b, seed=0, confidence=0.9, draws=9999)
    theirs = stats.bootstrap(
        (a, b),
        lambda x, y, axis: np.median(x, axis=axis) - np.median(y, axis=axis),
        confidence_level=0.9,
        method="percentile",
        rng=np.random.default_rng(1),
    ).confidence_interval
    assert found.value == np.median(a) - np.median(b)
    assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high), abs=0.02)


@pytest.mark.parametrize("sizes", [(5, 50), (18, 50), (50, 50)])
@pytest.mark.parametrize("law", ["normal", "exponential"])
def test_its_level(sizes: tuple[int, int], law: str) -> None:
    rng = np.random.default_rng(1)
    covered = 0
    for trial in range(500):
        a, b = (getattr(rng, f"standard_{law}")(size) for size in sizes)
        found = median_difference(a, 0.3 * b, seed=trial, confidence=0.95, draws=400)
        truth = 0 if law == "normal" else 0.7 * np.log(2)
        covered += found.low <= truth <= found.high
    assert 0.92 <= covered / 500 <= 0.98


def test_tests_are_scipys_and_corrected_as_families() -> None:
    rng = np.random.default_rng(2)
    pairs = {f"arm {i}": (rng.normal(0.1 * i, 0.2, 30), rng.normal(0, 0.3, 25)) for i in range(4)}
    found = compare_samples(pairs, seed=0)
    assert [one.name for one in found] == list(pairs)
    ranks = [stats.mannwhitneyu(a, b).pvalue for a, b in pairs.values()]
    shapes = [stats.ks_2samp(a, b).pvalue for a, b in pairs.values()]
    assert [one.ranks.p for one in found] == pytest.approx(ranks)
    assert [one.shapes.p for one in found] == pytest.approx(shapes)
    assert [one.ranks.corrected for one in found] == pytest.approx(holm(ranks))
    assert [one.shapes.corrected for one in found] == pytest.approx(holm(shapes))
    medians = [one.medians.p for one in found]
    assert [one.medians.corrected for one in found] == pytest.approx(holm(medians))
    a, b = pairs["arm 1"]
    theirs = stats.permutation_test(
        (a, b),
        lambda x, y, axis: np.median(x, axis=axis) - np.median(y, axis=axis),
        n_resamples=9999,
        rng=np.random.default_rng(3),
    ).pvalue
    assert found[1].medians.p == pytest.approx(theirs, abs=0.03)
    assert (found[1].first_median, found[1].second_median) == (np.median(a), np.median(b))
    assert found[1].sizes == (30, 25)


def test_equal_laws_differ_as_seldom_as_stated(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any "differs" among three pairs of one law each: in 5 % of families."""
    rng = np.random.default_rng(4)
    monkeypatch.setattr(two_samples, "DRAWS", 199)
    wrong = 0
    for trial in range(300):
        pairs = {str(i): (rng.standard_normal(12), rng.standard_normal(20)) for i in range(3)}
        found = compare_samples(pairs, seed=trial)
        wrong += any(one.answer == "differs" for one in found)
    assert within(wrong / 300, LEVEL, 300)


def test_medians_a_margin_apart_agree_as_seldom_as_stated(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(5)
    monkeypatch.setattr(two_samples, "DRAWS", 399)
    pairs = {str(i): (rng.normal(MARGIN, 0.1, 40), rng.normal(0, 0.1, 40)) for i in range(600)}
    agree = np.mean([one.answer == "agrees" for one in compare_samples(pairs, seed=0)])
    assert within(agree, LEVEL, 600)


def test_the_answers() -> None:
    rng = np.random.default_rng(6)
    published = rng.normal(0.6, 0.1, 50)
    found = compare_samples(
        {
            "same": (rng.normal(0.6, 0.1, 50), published),
            "other": (rng.normal(0.3, 0.15, 50), published),
            "few": (rng.normal(0.6, 0.4, 6), published),
            "wider": (np.linspace(0.6 - 0.6, 0.6 + 0.6, 401), np.linspace(0.55, 0.65, 401)),
            "exact": (published, published),
        },
        seed=0,
    )
    answers = [one.answer for one in found]
    assert answers == ["agrees", "differs", "cannot tell", "agrees", "agrees"]
    assert found[3].shapes.corrected < 0.001
    assert found[1].difference.high < -MARGIN


def test_a_wider_margin_agrees_sooner() -> None:
    rng = np.random.default_rng(7)
    pair = {"arm": (rng.normal(0.2, 0.1, 40), rng.normal(0, 0.1, 40))}
    assert compare_samples(pair, seed=0)[0].answer == "differs"
    assert compare_samples(pair, seed=0, margin=0.5)[0].answer == "agrees"


@pytest.mark.parametrize(
    ("pair", "reason"),
    [
        (([0.1] * 4, [0.2] * 9), "4 and 9 values; 5 of each are needed"),
        (([0.1] * 5, [np.nan] * 5), "5 of 10 values are not finite"),
    ],
)
def test_where_nobody_can_tell(pair: tuple[list[float], list[float]], reason: str) -> None:
    rng = np.random.default_rng(8)
    good = (rng.standard_normal(9), rng.standard_normal(9))
    bad, other = compare_samples({"bad": pair, "good": good}, seed=0)
    assert (bad.answer, bad.reason, bad.medians) == ("cannot tell", reason, None)
    assert not has_nan(bad)
    assert other == compare_samples({"good": good}, seed=0)[0]


def test_constants_and_no_pairs() -> None:
    assert compare_samples({}, seed=0) == ()
    (same,) = compare_samples({"same": ([0.5] * 6, [0.5] * 7)}, seed=0)
    assert (same.answer, same.medians.p, same.difference.low) == ("agrees", 1.0, 0.0)
    (apart,) = compare_samples({"apart": ([0.5] * 6, [0.9] * 7)}, seed=0)
    assert apart.answer == "differs"
