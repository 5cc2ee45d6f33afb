"""The noise ceiling against analysis of variance and simulations of known reliability."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from fragility.metrics import METRICS, Reliability, measure
from fragility.statistics import intraclass_consistency, split_half

BOUNDED = ["pearson", "spearman", "kendall", "r2_identity"]
SCIPYS = {"pearson": stats.pearsonr, "spearman": stats.spearmanr, "kendall": stats.kendalltau}


def measured(points: int, replicates: int, noise: float, seed: int = 0) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(seed)
    true = rng.standard_normal(points)
    return true, true + noise * rng.standard_normal((replicates, points))


def ceiling(kind: str, effects: np.ndarray) -> float | None:
    return METRICS.methods[kind](kind=kind).ceiling(Reliability(effects))


def test_consistency_is_cronbachs_alpha() -> None:
    _, effects = measured(30, 4, 1.5)
    alpha = 4 / 3 * (1 - effects.var(axis=1, ddof=1).sum() / effects.sum(axis=0).var(ddof=1))
    assert Reliability(effects).consistency == pytest.approx(alpha)
    assert Reliability(effects).consistency == intraclass_consistency(effects).mean.value


def test_agreement_is_one_less_the_inverse_f() -> None:
    _, effects = measured(30, 4, 1.5)
    f = stats.f_oneway(*effects.T).statistic
    assert Reliability(effects).agreement == pytest.approx(1 - 1 / f)


def test_ranks_are_the_split_halves_of_the_statistics() -> None:
    _, effects = measured(30, 6, 1.5)
    found = split_half(effects, seed=1, kind="spearman")
    assert Reliability(effects).ranks == found.full


@pytest.mark.parametrize(("replicates", "noise"), [(2, 0.5), (2, 2.0), (5, 1.0), (10, 3.0)])
@pytest.mark.parametrize("name", ["consistency", "ranks", "agreement"])
def test_it_recovers_a_known_reliability(name: str, replicates: int, noise: float) -> None:
    true, effects = measured(4000, replicates, noise)
    found = getattr(Reliability(effects), name)
    assert found == pytest.approx(1 / (1 + noise**2 / replicates), abs=0.04)
    reached = stats.pearsonr(true, effects.mean(axis=0)).statistic
    assert np.sqrt(found) == pytest.approx(reached, abs=0.03)


@pytest.mark.parametrize("kind", ["pearson", "spearman", "kendall"])
def test_a_shift_of_all_points_lowers_no_correlations_ceiling(kind: str) -> None:
    true, effects = measured(500, 4, 0.5)
    shifted = effects + 20 * np.arange(4.0)[:, None]
    assert ceiling(kind, shifted) == pytest.approx(ceiling(kind, effects), rel=1e-9)
    reached = SCIPYS[kind](true, shifted.mean(axis=0)).statistic
    assert ceiling(kind, shifted) == pytest.approx(reached, abs=0.02)


def test_a_shift_of_all_points_lowers_the_ceiling_of_what_sees_it() -> None:
    rng = np.random.default_rng(3)
    true = rng.standard_normal(2000)
    found, reached = [], []
    for _ in range(200):
        shifts = 0.6 * rng.standard_normal((4, 1))
        effects = true + shifts + 0.5 * rng.standard_normal((4, 2000))
        means = effects.mean(axis=0)
        found.append(ceiling("r2_identity", effects))
        reached.append(1 - np.sum((means - true) ** 2) / np.sum((means - means.mean()) ** 2))
    assert np.mean(found) == pytest.approx(np.mean(reached), abs=0.02)
    assert np.mean(reached) < ceiling("pearson", effects) ** 2 - 0.05


def test_ranks_of_many_effects_near_zero_have_a_lower_ceiling() -> None:
    """Few large effects fix Pearson's correlation; noise shuffles the many small ones.

    Their law is far from normal, and the ceiling then only about right.
    """
    rng = np.random.default_rng(0)
    true = np.where(np.arange(2000) < 100, 5.0, 0.05) * rng.standard_normal(2000)
    effects = true + 0.2 * rng.standard_normal((8, 2000))
    reached = stats.spearmanr(true, effects.mean(axis=0)).statistic
    assert ceiling("pearson", effects) > 0.98
    assert reached < 0.65
    assert ceiling("spearman", effects) == pytest.approx(reached, abs=0.08)


def test_pure_noise_has_none() -> None:
    rng = [np.random.default_rng(seed) for seed in range(20)]
    found = [Reliability(r.standard_normal((3, 50))).consistency for r in rng]
    assert min(found) == 0
    assert max(found) < 0.6


@pytest.mark.parametrize("name", ["consistency", "ranks", "agreement"])
def test_effects_that_repeat_exactly_are_reliable(name: str) -> None:
    for scale in (1.0, 1e300, 1e-300):
        effects = np.tile(scale * np.arange(5.0), (3, 1))
        assert getattr(Reliability(effects), name) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("name", ["consistency", "ranks", "agreement"])
@pytest.mark.parametrize(
    "effects",
    [np.ones((1, 5)), np.arange(3.0)[:, None], np.full((3, 5), 0.1), np.full((2, 4), np.nan)],
    ids=["one replicate", "one point", "constant", "nan"],
)
def test_it_is_none_where_it_means_nothing(effects: np.ndarray, name: str) -> None:
    assert getattr(Reliability(effects), name) is None


@pytest.mark.parametrize("kind", BOUNDED)
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
    assert bounded == set(BOUNDED)


def test_ceilings_are_per_test_point_and_pooled() -> None:
    rng = np.random.default_rng(0)
    scores = rng.standard_normal((2, 200))
    effects = scores + np.array([0.1, 3.0])[:, None] * rng.standard_normal((2, 2, 200))
    metric = METRICS.methods["pearson"](kind="pearson")
    (quiet, loud, pooled), _ = measure(scores, effects, [metric], seed=0, draws=20)
    assert quiet.ceiling > 0.98
    assert loud.ceiling < 0.7
    assert loud.ceiling < pooled.ceiling < quiet.ceiling
