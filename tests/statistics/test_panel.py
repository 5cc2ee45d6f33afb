"""Statistics of a study's table against loops over scipy, and the level of their intervals."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from fragility.metrics import METRICS
from fragility.statistics import (
    Axis,
    Panel,
    intraclass_consistency,
    mean_correlation,
    mean_metric,
    mean_reliability,
    nested_bootstrap,
    spearman_brown,
)
from fragility.statistics.resampling import bootstrap_counts, half_samples

SCIPY = {"pearson": stats.pearsonr, "spearman": stats.spearmanr}


def panel(seed: int = 0, shape: tuple[int, ...] = (3, 4, 20, 6), noise: float = 1.0) -> Panel:
    rng = np.random.default_rng(seed)
    scores = rng.standard_normal(shape[:3])
    true = scores + 0.7 * rng.standard_normal(shape[:3])
    return Panel(scores, true[..., None] + noise * rng.standard_normal(shape))


def ones(given: Panel, draws: int = 1) -> dict[str, np.ndarray]:
    return {axis.name: np.ones((draws, axis.size)) for axis in given.axes}


def random_weights(given: Panel, draws: int) -> dict[str, np.ndarray]:
    return {
        axis.name: (half_samples if axis.averaged else bootstrap_counts)(axis.size, draws, seed=i)
        for i, axis in enumerate(given.axes)
    }


def repeated(given: Panel, weights: dict[str, np.ndarray], draw: int) -> Panel:
    """The panel that the counts of one draw describe, written out."""
    places = [
        np.repeat(np.arange(axis.size), weights[axis.name][draw].astype(int)) for axis in given.axes
    ]
    return Panel(given.scores[np.ix_(*places[:3])], given.effects[np.ix_(*places)])


@pytest.mark.parametrize("kind", ["pearson", "spearman"])
def test_correlations_are_scipys_averaged_as_z(kind: str) -> None:
    given = panel()
    z = [
        np.arctanh(SCIPY[kind](given.scores[s, t], given.effects[s, t].mean(axis=1)).statistic)
        for s in range(3)
        for t in range(4)
    ]
    found = mean_correlation(given, kind)(ones(given))
    assert found == pytest.approx([np.tanh(np.mean(z))])


def test_reliability_is_the_mean_intraclass_coefficient_stepped_up() -> None:
    given = panel(noise=0.5)
    single = [
        intraclass_consistency(given.effects[s, t].T).single.value
        for s in range(3)
        for t in range(4)
    ]
    found = mean_reliability(given, "pearson", seed=0)(ones(given))
    assert found == pytest.approx([spearman_brown(float(np.mean(single)), 6)])


def test_reliability_of_ranks_is_that_of_halves() -> None:
    given = panel(shape=(1, 1, 50, 6))
    found = mean_reliability(given, "spearman", seed=0)(ones(given))
    cuts = [
        stats.spearmanr(
            given.effects[0, 0][:, list(chosen)].mean(axis=1),
            np.delete(given.effects[0, 0], chosen, axis=1).mean(axis=1),
        ).statistic
        for chosen in combinations(range(6), 3)
    ]
    half = 2 * np.sin(np.pi / 6 * np.mean(cuts))
    assert found == pytest.approx([spearman_brown(half, 2)])


@pytest.mark.parametrize("kind", ["pearson", "spearman"])
def test_counts_are_repeats(kind: str) -> None:
    """For any draw, the weighted statistic is the plain one of the table written out."""
    given = panel(1)
    weights = random_weights(given, 8)
    found = mean_correlation(given, kind)(weights)
    for draw in range(8):
        written = repeated(given, weights, draw)
        assert found[draw] == pytest.approx(mean_correlation(written, kind)(ones(written))[0])


def test_halves_of_replicates_are_a_table_of_fewer() -> None:
    given = panel(2)
    weights = random_weights(given, 8)
    found = mean_reliability(given, "pearson", seed=0)(weights)
    for draw in range(8):
        written = repeated(given, weights, draw)
        three = float(mean_reliability(written, "pearson", seed=0)(ones(written))[0])
        assert found[draw] == pytest.approx(spearman_brown(spearman_brown(three, 1 / 3), 6))


def test_draws_do_not_depend_on_their_company(monkeypatch: pytest.MonkeyPatch) -> None:
    given = panel(3)
    weights = random_weights(given, 9)
    statistics = [mean_correlation(given, "spearman"), mean_reliability(given, "spearman", seed=0)]
    together = [statistic(weights) for statistic in statistics]
    monkeypatch.setattr("fragility.statistics.panel.CHUNK", 1)
    apart = [
        mean_correlation(given, "spearman")(weights),
        mean_reliability(given, "spearman", seed=0)(weights),
    ]
    for a, b in zip(together, apart, strict=True):
        assert a == pytest.approx(b)


def test_the_metrics_can_be_resampled_too() -> None:
    given = panel(7)
    weights = random_weights(given, 5) | {"replicates": np.ones((5, 6))}
    kendall, spearman = (METRICS.methods[kind](kind=kind) for kind in ("kendall", "spearman"))
    found = mean_metric(given, kendall.statistic)(weights)
    for draw in range(5):
        written = repeated(given, weights, draw)
        taus = [
            stats.kendalltau(written.scores[s, t], written.effects[s, t].mean(axis=1)).statistic
            for s in range(3)
            for t in range(4)
        ]
        assert found[draw] == pytest.approx(np.mean(taus))
    one = Panel(given.scores[:1, :1], given.effects[:1, :1])
    single = random_weights(one, 5) | {"replicates": np.ones((5, 6))}
    assert mean_metric(one, spearman.statistic)(single) == pytest.approx(
        mean_correlation(one, "spearman")(single)
    )


def test_large_common_shifts_cost_no_digits() -> None:
    given = panel(8)
    shifted = Panel(given.scores, given.effects + 1e6 * np.arange(6))
    weights = random_weights(given, 5)
    found = mean_reliability(shifted, "pearson", seed=0)(weights)
    assert found == pytest.approx(mean_reliability(given, "pearson", seed=0)(weights), rel=1e-7)
    nothing = Panel(given.scores, np.broadcast_to(0.1 * np.arange(6), given.effects.shape))
    assert np.isnan(mean_reliability(nothing, "pearson", seed=0)(weights)).all()


def test_constant_test_points_are_left_out() -> None:
    given = panel(4)
    effects = given.effects.copy()
    effects[1, 2] = 0.1
    found = mean_correlation(Panel(given.scores, effects), "spearman")(ones(given))
    z = [
        np.arctanh(stats.spearmanr(given.scores[s, t], effects[s, t].mean(axis=1)).statistic)
        for s in range(3)
        for t in range(4)
        if (s, t) != (1, 2)
    ]
    assert found == pytest.approx([np.tanh(np.mean(z))])
    nothing = Panel(given.scores, np.zeros_like(effects))
    assert np.isnan(mean_correlation(nothing, "pearson")(ones(given)))
    assert np.isnan(mean_reliability(nothing, "pearson", seed=0)(ones(given)))


@pytest.mark.parametrize("kind", ["pearson", "spearman"])
def test_one_replicate_has_no_reliability(kind: str) -> None:
    given = panel(5, (2, 2, 10, 1))
    assert np.isnan(mean_reliability(given, kind, seed=0)(ones(given)))


def test_axes_say_what_is_nested() -> None:
    given = panel(6)
    assert given.axes == (
        Axis("repeats", 3),
        Axis("tests", 4),
        Axis("points", 20),
        Axis("replicates", 6, nested_in="repeats", averaged=True),
    )
    own = Panel(given.scores, given.effects, own_tests=True, own_points=True)
    assert [axis.nested_in for axis in own.axes] == [None, "repeats", "repeats", "repeats"]


def test_shapes_must_belong_together() -> None:
    with pytest.raises(ValueError, match="do not belong together"):
        Panel(np.zeros((2, 3, 4)), np.zeros((2, 3, 5, 2)))


def test_intervals_over_repeats_tests_and_points_have_their_level() -> None:
    """Of 95 % intervals for a mean correlation, 92 to 97 % hold the population's.

    Errors of repeats, test points and points are crossed; the population's value is that of a very
    large study with as many points.
    """

    def study(rng: np.random.Generator, s: int, t: int, n: int, r: int) -> Panel:
        scores = rng.standard_normal((1, 1, n)) + 0.5 * rng.standard_normal((s, t, n))
        strength = 0.8 + 0.6 * rng.standard_normal((s, 1, 1)) + 0.4 * rng.standard_normal((1, t, 1))
        errors = rng.standard_normal((1, t, n)) + rng.standard_normal((s, t, n))
        effects = (strength * scores + errors)[..., None]
        return Panel(
            np.broadcast_to(scores, (s, t, n)), effects + rng.standard_normal((s, t, n, r))
        )

    large = [study(np.random.default_rng(seed), 30, 30, 20, 2) for seed in range(60)]
    target = np.tanh(
        np.mean([np.arctanh(mean_correlation(p, "pearson")(ones(p))[0]) for p in large])
    )
    rng = np.random.default_rng(1000)
    covered = 0
    for trial in range(300):
        given = study(rng, 10, 6, 20, 2)
        found = nested_bootstrap(
            mean_correlation(given, "pearson"), given.axes, seed=trial, draws=500
        )
        assert found.resampled == ("repeats", "tests", "points")
        covered += found.estimate.low <= target <= found.estimate.high
    assert 0.92 <= covered / 300 <= 0.97
