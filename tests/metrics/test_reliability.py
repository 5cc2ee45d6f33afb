"""The noise ceiling against analysis of variance and a simulation of known reliability."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from fragility.metrics import METRICS, measure, reliability


def measured(points: int, replicates: int, noise: float, seed: int = 0) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(seed)
    true = rng.standard_normal(points)
    return true, true + noise * rng.standard_normal((replicates, points))


def test_it_is_one_less_the_inverse_f() -> None:
    _, effects = measured(30, 4, 1.5)
    f = stats.f_oneway(*effects.T).statistic
    assert reliability(effects) == pytest.approx(1 - 1 / f)


@pytest.mark.parametrize(("replicates", "noise"), [(2, 0.5), (2, 2.0), (5, 1.0), (10, 3.0)])
def test_it_recovers_a_known_reliability(replicates: int, noise: float) -> None:
    true, effects = measured(4000, replicates, noise)
    found = reliability(effects)
    assert found is not None
    assert found == pytest.approx(1 / (1 + noise**2 / replicates), abs=0.04)
    reached = stats.pearsonr(true, effects.mean(axis=0)).statistic
    assert np.sqrt(found) == pytest.approx(reached, abs=0.03)


def test_pure_noise_has_none() -> None:
    found = [reliability(np.random.default_rng(s).standard_normal((3, 50))) for s in range(20)]
    assert min(found) == 0
    assert max(found) < 0.6


def test_effects_that_repeat_exactly_are_reliable() -> None:
    assert reliability(np.tile(np.arange(5.0), (3, 1))) == 1
    assert reliability(np.tile(1e300 * np.arange(5.0), (3, 1))) == 1
    assert reliability(np.tile(1e-300 * np.arange(5.0), (3, 1))) == 1


@pytest.mark.parametrize(
    "effects",
    [np.ones((1, 5)), np.arange(3.0)[:, None], np.full((3, 5), 0.1), np.full((2, 4), np.nan)],
    ids=["one replicate", "one point", "constant", "nan"],
)
def test_it_is_none_where_it_means_nothing(effects: np.ndarray) -> None:
    assert reliability(effects) is None


@pytest.mark.parametrize("kind", ["pearson", "spearman", "kendall", "r2_identity"])
def test_a_perfect_estimator_reaches_its_ceiling(kind: str) -> None:
    true, effects = measured(3000, 3, 1.2)
    metric = METRICS.methods[kind](kind=kind)
    (agreement, _), _ = measure(true[None], effects[:, None], [metric], seed=0, draws=20)
    assert agreement.ceiling is not None
    assert agreement.value == pytest.approx(agreement.ceiling, abs=0.03)


def test_no_ceiling_for_one_replicate_or_an_unbounded_metric() -> None:
    true, effects = measured(30, 2, 1.0)
    metrics = [cls(kind=kind) for kind, cls in METRICS.methods.items()]
    single, _ = measure(true[None], effects[:1, None], metrics, seed=0, draws=20)
    assert {a.ceiling for a in single} == {None}
    double, _ = measure(true[None], effects[:, None], metrics, seed=0, draws=20)
    bounded = {a.metric for a in double if a.ceiling is not None}
    assert bounded == {"pearson", "spearman", "kendall", "r2_identity"}


def test_ceilings_are_per_test_point_and_pooled() -> None:
    rng = np.random.default_rng(0)
    scores = rng.standard_normal((2, 200))
    effects = scores + np.array([0.1, 3.0])[:, None] * rng.standard_normal((2, 2, 200))
    metric = METRICS.methods["pearson"](kind="pearson")
    (quiet, loud, pooled), _ = measure(scores, effects, [metric], seed=0, draws=20)
    assert quiet.ceiling > 0.98
    assert loud.ceiling < 0.7
    assert loud.ceiling < pooled.ceiling < quiet.ceiling
