"""Split halves against enumeration, closed forms, and the correlation that a perfect score has."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from fragility.statistics import ceiling, intraclass_consistency, spearman_brown, split_half
from fragility.statistics.split_half import halves


def measured(replicates: int, points: int, noise: float, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.standard_normal(points) + noise * rng.standard_normal((replicates, points))


@given(st.floats(0, 1), st.integers(1, 50), st.integers(1, 50))
def test_stepping_up_twice_is_stepping_up_once(r: float, a: int, b: int) -> None:
    assert spearman_brown(spearman_brown(r, a), b) == pytest.approx(spearman_brown(r, a * b))


def test_stepping_up_is_the_share_of_variance() -> None:
    """With signal variance 1 and noise variance v, R replicates have reliability 1/(1 + v/R)."""
    for noise in (0.1, 1.0, 13.0):
        single = 1 / (1 + noise)
        assert spearman_brown(single, 12) == pytest.approx(1 / (1 + noise / 12))
        assert spearman_brown(1 / (1 + noise / 12), 1 / 12) == pytest.approx(single)


@pytest.mark.parametrize(
    ("kind", "scipys"), [("pearson", stats.pearsonr), ("spearman", stats.spearmanr)]
)
def test_the_median_is_over_all_cuts(kind: str, scipys) -> None:
    effects = measured(6, 15, 1.0)
    cuts = [
        scipys(effects[list(a)].mean(axis=0), np.delete(effects, a, axis=0).mean(axis=0)).statistic
        for a in combinations(range(6), 3)
    ]
    found = split_half(effects, seed=0, kind=kind)
    assert (found.splits, found.half) == (10, pytest.approx(np.median(cuts)))


@pytest.mark.parametrize("replicates", [2, 3, 4, 7, 12])
def test_halves_are_equal_and_disjoint(replicates: int) -> None:
    first, second = halves(replicates, 200, seed=1)
    assert set(first.sum(axis=1)) == set(second.sum(axis=1)) == {replicates // 2}
    assert not np.any(first * second)
    cuts = {frozenset([tuple(a), tuple(b)]) for a, b in zip(first, second, strict=True)}
    assert len(cuts) == {2: 1, 3: 3, 4: 3, 7: 70}.get(replicates, len(cuts))
    if replicates < 12:
        assert len(first) == len(cuts)
    used = (first + second).mean(axis=0)
    assert used == pytest.approx(np.full(replicates, replicates // 2 * 2 / replicates))


def test_two_replicates_have_one_cut() -> None:
    effects = measured(2, 30, 1.0)
    found = split_half(effects, seed=0)
    r = stats.pearsonr(*effects).statistic
    assert (found.splits, found.half) == (1, pytest.approx(r))
    assert found.single == pytest.approx(r)
    assert found.full == pytest.approx(2 * r / (1 + r))


@pytest.mark.parametrize("replicates", [4, 5, 20, 21])
@pytest.mark.parametrize("kind", ["pearson", "spearman"])
def test_it_recovers_a_known_reliability(replicates: int, kind: str) -> None:
    found = split_half(measured(replicates, 4000, 2.0), seed=0, kind=kind, splits=100)
    assert found.full == pytest.approx(1 / (1 + 4 / replicates), abs=0.04)
    assert found.single == pytest.approx(1 / 5, abs=0.04)


def test_it_agrees_with_the_intraclass_coefficient() -> None:
    effects = measured(8, 3000, 1.5) + 4 * np.arange(8.0)[:, None]
    found = split_half(effects, seed=0, splits=200)
    assert found.full == pytest.approx(intraclass_consistency(effects).mean.value, abs=0.01)


def test_ranks_have_a_ceiling_of_their_own() -> None:
    """Few large effects among many small ones: Pearson's ceiling is no ceiling of Spearman's."""
    reached, from_ranks, from_values = [], [], []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        large = rng.random(200) < 0.05
        true = np.where(large, 10.0, 0.3) * rng.standard_normal(200)
        effects = true + rng.standard_normal((4, 200))
        reached.append(stats.spearmanr(true, effects.mean(axis=0)).statistic)
        ranks = split_half(effects, seed=seed, kind="spearman", splits=50)
        from_ranks.append(ceiling(ranks.full, "spearman"))
        from_values.append(ceiling(intraclass_consistency(effects).mean.value, "spearman"))
    assert np.mean(from_ranks) == pytest.approx(np.mean(reached), abs=0.08)
    assert np.mean(from_values) > np.mean(reached) + 0.3


def test_noise_has_no_reliability() -> None:
    found = [split_half(measured(4, 40, 1e6, seed), seed=0) for seed in range(20)]
    assert min(split.half for split in found) < -0.1
    assert {split.full for split in found if split.half < 0} == {0.0}


def test_it_is_determined_by_its_seed() -> None:
    effects = measured(13, 12, 1.0)
    assert split_half(effects, seed=1) == split_half(effects, seed=1)
    assert split_half(effects, seed=1) != split_half(effects, seed=2)


@pytest.mark.parametrize(
    ("effects", "reason"),
    [
        (np.ones((1, 5)), "1 replicate; at least 2 are needed"),
        (np.eye(2)[[0, 0, 1, 1]] * [[1], [-1], [1], [-1]], "in some halves"),
    ],
)
def test_where_it_means_nothing(effects: np.ndarray, reason: str) -> None:
    found = split_half(effects, seed=0)
    assert (found.half, found.single, found.full) == (None, None, None)
    assert found.reason.startswith(reason)
