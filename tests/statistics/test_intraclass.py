"""Intraclass correlations against published tables, scipy's F, and simulations."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from fragility.statistics import (
    ceiling,
    intraclass_agreement,
    intraclass_consistency,
    variance_components,
)
from tests.statistics.walk import within

# Four judges (columns) of six targets: the table of Shrout and Fleiss (1979), with the
# coefficients printed there and the intervals that the R package psych documents for it.
SHROUT_FLEISS = np.array(
    [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]],
    dtype=float,
).T


def measured(
    rng: np.random.Generator, replicates: int, points: int, noise: float, shift: float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    true = rng.standard_normal(points)
    shifts = shift * rng.standard_normal((replicates, 1))
    return true, true + shifts + noise * rng.standard_normal((replicates, points))


def test_the_published_table() -> None:
    one_way, two_way = intraclass_agreement(SHROUT_FLEISS), intraclass_consistency(SHROUT_FLEISS)
    assert one_way.single.value == pytest.approx(0.17, abs=0.005)
    assert one_way.mean.value == pytest.approx(0.44, abs=0.005)
    assert two_way.single.value == pytest.approx(0.71, abs=0.005)
    assert two_way.mean.value == pytest.approx(0.91, abs=0.005)
    assert (one_way.single.low, one_way.single.high) == pytest.approx((0, 0.72), abs=0.005)
    assert (one_way.mean.low, one_way.mean.high) == pytest.approx((0, 0.91), abs=0.005)
    assert (two_way.single.low, two_way.single.high) == pytest.approx((0.342, 0.95), abs=0.005)
    assert (two_way.mean.low, two_way.mean.high) == pytest.approx((0.676, 0.99), abs=0.005)


def test_the_mean_of_all_is_one_less_the_inverse_f() -> None:
    _, effects = measured(np.random.default_rng(0), 4, 30, 1.5)
    f = stats.f_oneway(*effects.T).statistic
    assert intraclass_agreement(effects).mean.value == pytest.approx(1 - 1 / f)


def test_consistency_is_cronbachs_alpha() -> None:
    _, effects = measured(np.random.default_rng(1), 5, 40, 1.0, shift=3.0)
    total = effects.sum(axis=0).var(ddof=1)
    alpha = 5 / 4 * (1 - effects.var(axis=1, ddof=1).sum() / total)
    assert intraclass_consistency(effects).mean.value == pytest.approx(alpha)


def test_a_common_shift_is_noise_for_agreement_alone() -> None:
    _, effects = measured(np.random.default_rng(2), 6, 50, 0.5)
    shifted = effects + 10 * np.arange(6.0)[:, None]
    before, after = (intraclass_consistency(e).mean.value for e in (effects, shifted))
    assert after == pytest.approx(before)
    assert intraclass_agreement(shifted).mean.value == 0


@pytest.mark.parametrize("coefficient", [intraclass_agreement, intraclass_consistency])
@pytest.mark.parametrize(("replicates", "points", "noise"), [(2, 25, 1.0), (10, 40, 3.0)])
def test_intervals_have_their_level(coefficient, replicates, points, noise) -> None:
    """95 % of the intervals, for one replicate and for the mean, hold the planted reliability."""
    single = 1 / (1 + noise**2)
    mean = 1 / (1 + noise**2 / replicates)
    rng = np.random.default_rng(3)
    covered = np.zeros((3000, 2))
    for trial in covered:
        found = coefficient(measured(rng, replicates, points, noise)[1])
        trial[0] = found.single.low <= single <= found.single.high
        trial[1] = found.mean.low <= mean <= found.mean.high
    assert all(within(share, 0.95, 3000) for share in covered.mean(axis=0))


def test_the_estimated_ceiling_covers_the_true_one() -> None:
    """With shifts common to all points, as removals share a retraining's drift."""
    true = ceiling(1 / (1 + 2.0**2 / 8), "pearson")
    rng = np.random.default_rng(4)
    covered = 0
    for _ in range(3000):
        found = intraclass_consistency(measured(rng, 8, 30, 2.0, shift=5.0)[1]).mean
        interval = found.map(lambda value: ceiling(value, "pearson"))
        covered += interval.low <= true <= interval.high
    assert within(covered / 3000, 0.95, 3000)


def test_a_perfect_estimator_reaches_the_ceiling() -> None:
    true, effects = measured(np.random.default_rng(5), 3, 20_000, 1.2)
    reached = stats.pearsonr(true, effects.mean(axis=0)).statistic
    found = intraclass_consistency(effects).mean.value
    assert ceiling(found, "pearson") == pytest.approx(reached, abs=0.01)
    ranks = stats.spearmanr(true, effects.mean(axis=0)).statistic
    assert ceiling(found, "spearman") == pytest.approx(ranks, abs=0.01)
    order = stats.kendalltau(true[:5000], effects.mean(axis=0)[:5000]).statistic
    assert ceiling(found, "kendall") == pytest.approx(order, abs=0.015)


def test_components_recover_what_was_planted() -> None:
    parts = [
        variance_components(measured(np.random.default_rng(s), 30, 200, 2.0, shift=1.5)[1])
        for s in range(40)
    ]
    assert np.mean([part.points for part in parts]) == pytest.approx(1.0, abs=0.05)
    assert np.mean([part.replicates for part in parts]) == pytest.approx(2.25, abs=0.3)
    assert np.mean([part.residual for part in parts]) == pytest.approx(4.0, abs=0.05)


def test_components_are_those_of_the_two_way_table() -> None:
    targets, judges = SHROUT_FLEISS.shape[1], SHROUT_FLEISS.shape[0]
    found = variance_components(SHROUT_FLEISS)
    # Mean squares printed in Shrout and Fleiss, table 3.
    assert found.points == pytest.approx((11.24 - 1.02) / judges, abs=0.01)
    assert found.replicates == pytest.approx((32.49 - 1.02) / targets, abs=0.01)
    assert found.residual == pytest.approx(1.02, abs=0.005)


@pytest.mark.parametrize("coefficient", [intraclass_agreement, intraclass_consistency])
@pytest.mark.parametrize("scale", [1e-300, 1.0, 1e300])
def test_effects_that_repeat_exactly_are_reliable(coefficient, scale) -> None:
    found = coefficient(np.tile(scale * np.arange(5.0), (3, 1)))
    assert (found.mean.low, found.mean.value, found.mean.high) == (1, 1, 1)
    assert (found.single.low, found.single.value, found.single.high) == (1, 1, 1)


@pytest.mark.parametrize("coefficient", [intraclass_agreement, intraclass_consistency])
def test_points_whose_means_are_equal_have_none(coefficient) -> None:
    found = coefficient(np.array([[1.0, -1.0, 0.0], [-1.0, 1.0, 0.0]]))
    assert (found.mean.low, found.mean.value) == (0, 0)
    assert (found.single.low, found.single.value) == (0, 0)


@pytest.mark.parametrize(
    ("effects", "reason"),
    [
        (np.ones((1, 5)), "1 replicate; at least 2 are needed"),
        (np.ones((0, 5)), "0 replicates; at least 2 are needed"),
        (np.ones((3, 1)), "1 point; at least 2 are needed"),
        (np.full((2, 4), np.nan), "8 of 8 effects are not finite"),
        (np.tile([[1.0], [2.0]], 4), "the effects of all points are equal"),
    ],
)
def test_where_it_means_nothing(effects: np.ndarray, reason: str) -> None:
    for coefficient in (intraclass_agreement, intraclass_consistency):
        found = coefficient(effects)
        assert (found.single.value, found.mean.value) == (None, None)
        assert found.single.reason == found.mean.reason == reason
    assert variance_components(effects) is None
