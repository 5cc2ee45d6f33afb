"""Agreement of pairs that weigh the inverse of the probability with which they were drawn."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from fragility.metrics import METRICS, Reliability, measure

KINDS = ["pearson", "spearman", "kendall", "slope"]
COUNTS = np.array([1, 1, 4, 2, 1, 3, 1, 2, 5, 1, 1, 2])


def pairs(n_test: int = 2, replicates: int = 3) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    scores = rng.standard_normal((n_test, len(COUNTS)))
    return scores, scores + rng.standard_normal((replicates, *scores.shape))


@pytest.mark.parametrize("kind", KINDS)
def test_a_pair_drawn_with_probability_1_in_k_stands_for_k(kind: str) -> None:
    scores, effects = pairs()
    metric = [METRICS.methods[kind](kind=kind)]
    drawn, summaries = measure(
        scores, effects, metric, seed=0, draws=50, probabilities=0.1 / COUNTS
    )
    whole, _ = measure(
        np.repeat(scores, COUNTS, axis=1), np.repeat(effects, COUNTS, axis=2), metric, seed=0
    )
    assert [a.value for a in drawn] == pytest.approx([a.value for a in whole], rel=1e-12)
    assert [a.n for a in drawn] == [len(COUNTS)] * 2 + [2 * len(COUNTS)]
    assert {a.weighting for a in [*drawn, *summaries]} == {"population"}
    assert {a.weighting for a in whole} == {"raw"}
    for agreement in drawn:
        assert agreement.ci_low < agreement.value < agreement.ci_high


def test_equal_probabilities_change_nothing_but_the_name() -> None:
    scores, effects = pairs()
    metrics = [METRICS.methods[kind](kind=kind) for kind in KINDS]
    raw, summaries = measure(scores, effects, metrics, seed=1, draws=40)
    same, averages = measure(
        scores, effects, metrics, seed=1, draws=40, probabilities=np.full(len(COUNTS), 0.25)
    )
    assert [{**vars(a), "weighting": "raw"} for a in same] == [vars(a) for a in raw]
    assert [{**vars(s), "weighting": "raw"} for s in averages] == [vars(s) for s in summaries]


def test_the_reliability_of_weighted_points_is_that_of_analysis_of_variance() -> None:
    effects = pairs(1)[1][:, 0]
    n, whole = len(COUNTS), COUNTS.sum()
    f = stats.f_oneway(*np.repeat(effects, COUNTS, axis=1).T).statistic
    # Repeating points adds no degrees of freedom.
    f *= (whole - 1) / whole * n / (n - 1)
    assert Reliability(effects, COUNTS / 7).agreement == pytest.approx(1 - 1 / f)


def test_the_reliability_of_weighted_points_is_that_of_repeated_ones() -> None:
    effects = pairs(1)[1][:, 0] + np.arange(3.0)[:, None]
    drawn, whole = (
        Reliability(effects, COUNTS / 7),
        Reliability(np.repeat(effects, COUNTS, axis=1)),
    )
    # Consistency is a quotient of two mean squares with the same degrees of freedom of points.
    assert drawn.consistency == pytest.approx(whole.consistency, rel=1e-12)
    assert drawn.ranks == pytest.approx(whole.ranks, rel=1e-12)
