"""Values, intervals, reasons and aggregation of agreements."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from fragility.metrics import METRICS, Agreement, Metric, Summary, _bootstrap, measure
from fragility.metrics._bootstrap import FEWEST_DRAWS, interval, resamples
from fragility.metrics.agreement import mean, median
from fragility.metrics.sign_agreement import SignAgreement
from fragility.metrics.slope import Slope
from fragility.metrics.spearman import Spearman

ALL: list[Metric] = [cls(kind=kind) for kind, cls in METRICS.methods.items()]


def one(kind: str) -> list[Metric]:
    return [METRICS.methods[kind](kind=kind)]


def normal_pairs(n_test: int, n: int, correlation: float, seed: int = 0) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(seed)
    scores = rng.standard_normal((n_test, n))
    noise = rng.standard_normal((n_test, n))
    return scores, (correlation * scores + np.sqrt(1 - correlation**2) * noise)[None]


def test_rows_come_in_order_and_carry_n() -> None:
    scores, effects = normal_pairs(3, 25, 0.5)
    agreements, summaries = measure(scores, effects, ALL, seed=1, draws=20)
    kinds = [metric.kind for metric in ALL]
    assert [a.test_point for a in agreements] == [p for p in (0, 1, 2, None) for _ in ALL]
    assert [a.metric for a in agreements] == kinds * 4
    assert [a.n for a in agreements] == [25] * 3 * len(ALL) + [75] * len(ALL)
    assert [(s.metric, s.aggregation) for s in summaries] == [
        (kind, aggregation) for kind in kinds for aggregation in ("median", "mean")
    ]
    assert {(s.n_test, s.n, s.share_undefined) for s in summaries} == {(3, 25, 0.0)}


def test_chance_stands_beside_the_value_and_names_tell_absolute_metrics_apart() -> None:
    scores, effects = normal_pairs(2, 25, -0.5)
    metrics: list[Metric] = [Spearman(), Spearman(absolute=True), SignAgreement(), Slope()]
    agreements, summaries = measure(scores, effects, metrics, seed=1, draws=20)
    signed, size, *_ = agreements
    assert (signed.metric, size.metric) == ("spearman", "|spearman|")
    assert [s.metric for s in summaries[2:4]] == ["|spearman|"] * 2
    assert size.value == -signed.value > 0
    assert signed.chance == 0
    assert size.chance == pytest.approx(0.16425, rel=0.005)
    positive = [(v > 0).mean() for v in (scores[0], effects[0, 0])]
    assert agreements[2].chance == pytest.approx(
        positive[0] * positive[1] + (1 - positive[0]) * (1 - positive[1])
    )
    assert agreements[3].chance == 0


def test_there_is_no_chance_without_a_value_or_where_pairs_do_not_count_alike() -> None:
    scores, effects = normal_pairs(1, 25, 0.5)
    found, _ = measure(scores, np.zeros_like(effects), one("pearson"), seed=1, draws=20)
    assert found[0].chance is None
    shares = np.linspace(0.1, 0.9, 25)
    found, _ = measure(scores, effects, one("pearson"), seed=1, draws=20, probabilities=shares)
    assert found[0].value is not None
    assert found[0].chance is None


def test_replicates_are_averaged_and_pooling_is_over_all_pairs() -> None:
    scores, effects = normal_pairs(4, 25, 0.7)
    shift = np.random.default_rng(3).standard_normal(effects.shape)
    replicates = np.concatenate([effects + shift, effects - shift])
    agreements, summaries = measure(scores, replicates, one("pearson"), seed=1, draws=10)
    truth = [stats.pearsonr(scores[t], effects[0, t]).statistic for t in range(4)]
    assert [a.value for a in agreements[:4]] == pytest.approx(truth)
    pooled = stats.pearsonr(scores.ravel(), effects.ravel()).statistic
    assert agreements[4].value == pytest.approx(pooled)
    assert [s.value for s in summaries] == pytest.approx([np.median(truth), np.mean(truth)])


def test_the_interval_is_scipys_for_the_same_resamples() -> None:
    scores, effects = normal_pairs(1, 40, 0.6)
    agreements, _ = measure(scores, effects, one("kendall"), seed=7, draws=60)
    counts = resamples(1, 40, 60, 7).train.astype(int)
    drawn = [
        stats.kendalltau(np.repeat(scores[0], c), np.repeat(effects[0, 0], c)).statistic
        for c in counts.T
    ]
    low, high = np.quantile(drawn, [0.025, 0.975])
    assert (agreements[0].ci_low, agreements[0].ci_high) == pytest.approx((low, high))


def test_intervals_agree_with_scipys_bootstrap() -> None:
    scores, effects = normal_pairs(1, 60, 0.6)
    theirs = stats.bootstrap(
        (scores[0], effects[0, 0]),
        lambda x, y: stats.pearsonr(x, y).statistic,
        paired=True,
        vectorized=False,
        n_resamples=2000,
        method="percentile",
        rng=np.random.default_rng(0),
    ).confidence_interval
    agreements, _ = measure(scores, effects, one("pearson"), seed=0, draws=2000)
    assert agreements[0].ci_low == pytest.approx(theirs.low, abs=0.03)
    assert agreements[0].ci_high == pytest.approx(theirs.high, abs=0.03)


def test_pooled_draws_resample_test_points_too() -> None:
    scores, effects = normal_pairs(3, 12, 0.5)
    agreements, _ = measure(scores, effects, one("spearman"), seed=5, draws=30)
    samples = resamples(3, 12, 30, 5)
    drawn = []
    for test, train in zip(samples.test.T, samples.train.T, strict=True):
        counts = np.outer(test, train).ravel().astype(int)
        x, y = np.repeat(scores.ravel(), counts), np.repeat(effects.ravel(), counts)
        drawn.append(stats.spearmanr(x, y).statistic)
    low, high = np.quantile(drawn, [0.025, 0.975])
    assert (agreements[3].ci_low, agreements[3].ci_high) == pytest.approx((low, high))


@pytest.mark.parametrize("kind", ["pearson", "spearman", "kendall", "slope"])
def test_intervals_cover(kind: str) -> None:
    """Of 300 independent samples, about 95 % have the truth in their interval."""
    correlation = 0.6
    truth = {
        "pearson": correlation,
        "spearman": 6 / np.pi * np.arcsin(correlation / 2),
        "kendall": 2 / np.pi * np.arcsin(correlation),
        "slope": correlation,
    }[kind]
    scores, effects = normal_pairs(300, 60, correlation)
    agreements, _ = measure(scores, effects, one(kind), seed=2, draws=300)
    covered = np.mean([a.ci_low <= truth <= a.ci_high for a in agreements[:-1]])
    assert 0.90 <= covered <= 0.98


def test_the_same_seed_gives_the_same_numbers() -> None:
    scores, effects = normal_pairs(3, 20, 0.5)
    first = measure(scores, effects, ALL, seed=4, draws=50)
    assert first == measure(scores, effects, ALL, seed=4, draws=50)
    assert first != measure(scores, effects, ALL, seed=5, draws=50)
    alone = measure(scores, effects, one("slope"), seed=4, draws=50)
    assert alone[0] == [a for a in first[0] if a.metric == "slope"]


def test_more_confidence_is_wider() -> None:
    scores, effects = normal_pairs(2, 30, 0.5)
    narrow, _ = measure(scores, effects, ALL, seed=4, draws=200, confidence=0.5)
    wide, _ = measure(scores, effects, ALL, seed=4, draws=200, confidence=0.99)
    for a, b in zip(narrow, wide, strict=True):
        assert b.ci_low <= a.ci_low <= a.ci_high <= b.ci_high


@pytest.mark.parametrize(
    ("kind", "scores", "effects", "reason"),
    [
        ("pearson", [1, 2, 3], [1, 2, 3], "3 points; at least 4 are needed"),
        ("slope", [1], [1], "1 point; at least 4 are needed"),
        ("kendall", [], [], "0 points; at least 4 are needed"),
        ("spearman", [1, 2, 3, 4], [5, 5, 5, 5], "all 4 effects are equal"),
        ("pearson", [0, 0, 0, 0], [1, 2, 3, 4], "all 4 scores are equal"),
        ("slope", [2, 2, 2, 2], [1, 2, 3, 4], "all 4 scores are equal"),
        ("r2_identity", [1, 2, 3, 4], [0, 0, 0, 0], "all 4 effects are equal"),
        ("pearson", [1, 2, 3, np.nan], [1, 2, 3, 4], "1 of 4 scores are not finite"),
        ("sign_agreement", [1, 2, 3, 4], [1, np.inf, np.nan, 4], "2 of 4 effects are not finite"),
        (
            "sign_agreement",
            [0, 1, 2, 3, 4],
            [1, 0, 2, 3, 4],
            "3 of 5 pairs have neither score nor effect 0; at least 4 are needed",
        ),
        (
            "relative_error",
            [1, 2, 3, 4, 5],
            [1, 0, 0, 2, 0],
            "3 of 5 effects are 0, and so is their median size",
        ),
        ("cosine", [0, 0, 0, 0], [1, 2, 3, 4], "all 4 scores are 0"),
        ("cosine", [1, 2, 3, 4], [0, 0, 0, 0], "all 4 effects are 0"),
        ("theil_sen", [2, 2, 2, 2], [1, 2, 3, 4], "all 4 scores are equal"),
        ("theil_sen_intercept", [2, 2, 2, 2], [1, 2, 3, 4], "all 4 scores are equal"),
        (
            "r2_identity",
            [1e200, -1e200, 1e200, 1],
            [1, 2, 3, 4],
            "the value is outside the range of floating point",
        ),
    ],
)
def test_no_value_has_a_reason(
    kind: str, scores: list[float], effects: list[float], reason: str
) -> None:
    x, y = np.array([scores], dtype=float), np.array([[effects]], dtype=float)
    agreements, summaries = measure(x, y, one(kind), seed=0, draws=20)
    none = Agreement(0, kind, None, None, None, None, None, len(scores), reason)
    assert agreements == [none, Agreement(None, *list(vars(none).values())[1:])]
    assert [s.reason for s in summaries] == [f"no test point of 1 has a value: {reason}"] * 2
    assert [s.value for s in summaries] == [None, None]
    assert [s.share_undefined for s in summaries] == [1.0, 1.0]


def test_constant_effects_have_a_slope() -> None:
    agreements, _ = measure(np.arange(5.0)[None], np.full((1, 1, 5), 3.0), ALL, seed=0, draws=20)
    values = {a.metric: a.value for a in agreements if a.test_point is None}
    assert values["slope"] == 0
    assert values["intercept"] == 3
    assert values["pearson"] is None


def test_undefined_test_points_are_left_out_of_summaries_and_counted() -> None:
    scores, effects = normal_pairs(4, 20, 0.8)
    effects[0, 2] = 0.0
    agreements, summaries = measure(scores, effects, one("pearson"), seed=0, draws=100)
    values = [a.value for a in agreements[:4] if a.value is not None]
    assert len(values) == 3
    assert summaries[0].value == pytest.approx(np.median(values))
    assert summaries[1].value == pytest.approx(np.mean(values))
    assert [s.share_undefined for s in summaries] == [0.25, 0.25]
    assert summaries[0].ci_low < summaries[0].value < summaries[0].ci_high


def test_without_test_points() -> None:
    agreements, summaries = measure(np.empty((0, 5)), np.empty((2, 0, 5)), one("pearson"), seed=0)
    assert [a.reason for a in agreements] == ["0 points; at least 4 are needed"]
    assert summaries[0] == Summary(
        "pearson", "median", None, None, None, 0.0, 0, 5, "there are no test points"
    )


def test_one_test_point_is_its_own_pool_and_summary() -> None:
    scores, effects = normal_pairs(1, 30, 0.5)
    (point, pooled), (middle, average) = measure(scores, effects, one("spearman"), seed=3, draws=90)
    bounds = (point.value, point.ci_low, point.ci_high)
    for row in (pooled, middle, average):
        assert (row.value, row.ci_low, row.ci_high) == pytest.approx(bounds)


@pytest.mark.parametrize(
    ("scores", "effects"),
    [((3,), (1, 1, 3)), ((1, 3), (1, 3)), ((2, 3), (1, 3, 2)), ((1, 3), (0, 1, 3))],
)
def test_shapes_must_belong_together(scores: tuple[int, ...], effects: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="do not belong together"):
        measure(np.zeros(scores), np.zeros(effects), ALL, seed=0)


def test_an_interval_needs_half_of_the_draws() -> None:
    assert interval(np.array([1.0, np.nan, np.nan]), 0.95) == (None, None)
    assert interval(np.array([1.0, 1.0, np.nan]), 0.95) == (1.0, 1.0)
    assert interval(np.array([]), 0.95) == (None, None)


def test_huge_comparisons_draw_less_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_bootstrap, "MOST_WEIGHTS", 40_000)
    assert resamples(1, 40, 1000, 0).train.shape == (40, 1000)
    assert resamples(2, 50, 1000, 0).train.shape == (50, 400)
    assert resamples(9, 50, 1000, 0).train.shape == (50, FEWEST_DRAWS)
    assert resamples(9, 50, 150, 0).train.shape == (50, 150)


def test_resamples_are_counts() -> None:
    samples = resamples(5, 7, 1000, 0)
    assert (samples.train.sum(axis=0) == 7).all()
    assert (samples.test.sum(axis=0) == 5).all()
    assert samples.train.mean(axis=1) == pytest.approx(np.ones(7), abs=0.15)


@given(
    st.lists(
        st.tuples(st.integers(-5, 5).map(float) | st.just(np.nan), st.integers(0, 3)),
        min_size=1,
        max_size=9,
    )
)
def test_aggregates_are_those_of_the_repeated_values(rows: list[tuple[float, int]]) -> None:
    values = np.array([[value] for value, _ in rows])
    counts = np.array([[float(count)] for _, count in rows])
    repeated = np.repeat([value for value, _ in rows], [count for _, count in rows])
    left = repeated[~np.isnan(repeated)]
    if len(left):
        assert median(values, counts)[0] == np.median(left)
        assert mean(values, counts)[0] == pytest.approx(np.mean(left))
    else:
        assert np.isnan([median(values, counts)[0], mean(values, counts)[0]]).all()
