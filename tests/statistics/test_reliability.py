"""The number of replicates, the verdict, and everything together."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from fragility.statistics import (
    Axis,
    Estimate,
    Panel,
    ceiling,
    mean_reliability,
    nested_bootstrap,
    reliability,
    replicates_needed,
    spearman_brown,
    verdict,
)
from tests.statistics.walk import has_nan


@pytest.mark.parametrize(
    ("single", "target", "needed"),
    [
        (0.07, 0.8, 54),
        (0.07, 0.9, 120),
        (0.3, 0.8, 10),
        (0.3, 0.9, 21),
        (0.5, 0.8, 4),
        (0.9, 0.5, 1),
    ],
)
def test_replicates_needed(single: float, target: float, needed: int) -> None:
    assert replicates_needed(single, target) == needed


@pytest.mark.parametrize("single", [0.01, 0.07, 0.25, 0.5, 0.81])
@pytest.mark.parametrize("target", [0.5, 0.8, 0.95])
def test_they_are_just_enough(single: float, target: float) -> None:
    needed = replicates_needed(single, target)
    assert spearman_brown(single, needed) >= target - 1e-9
    assert needed == 1 or spearman_brown(single, needed - 1) < target


def test_no_number_is_enough_for_pure_noise() -> None:
    assert replicates_needed(0.0, 0.8) is None
    assert replicates_needed(-0.1, 0.8) is None
    assert replicates_needed(1.0, 0.8) == 1


def test_one_run_of_nguyens_settings_caps_a_perfect_method() -> None:
    assert ceiling(0.07, "pearson") == pytest.approx(0.265, abs=0.001)
    assert ceiling(spearman_brown(0.07, 50), "pearson") == pytest.approx(0.889, abs=0.001)
    rng = np.random.default_rng(0)
    true = rng.standard_normal(200_000)
    noise = np.sqrt(1 / 0.07 - 1)
    for runs, known in ((1, 0.07), (50, spearman_brown(0.07, 50))):
        means = true + noise / np.sqrt(runs) * rng.standard_normal(true.size)
        reached = stats.spearmanr(true, means).statistic
        assert ceiling(known, "spearman") == pytest.approx(reached, abs=0.005)


@pytest.mark.parametrize(
    ("given", "measurable", "certain", "words"),
    [
        (Estimate(0.8, 0.6, 0.9), True, True, "measurable"),
        (Estimate(0.5, 0.5, 0.9), True, True, "measurable"),
        (
            Estimate(0.6, 0.41, 0.7),
            True,
            False,
            "measurable (the reliability's interval reaches down to 0.41)",
        ),
        (Estimate(0.2, 0.0, 0.4), False, True, "not measurable with this budget"),
        (
            Estimate(0.4, 0.1, 0.66),
            False,
            False,
            "not measurable with this budget (the reliability's interval reaches up to 0.66)",
        ),
        (Estimate(0.7, None, None, "few"), True, False, "measurable (no interval: few)"),
        (
            Estimate(None, None, None, "1 replicate"),
            None,
            False,
            "not known whether measurable: 1 replicate",
        ),
    ],
)
def test_the_verdict(given: Estimate, measurable: bool | None, certain: bool, words: str) -> None:
    found = verdict(given)
    assert (found.measurable, found.certain, found.words) == (measurable, certain, words)
    assert "fragile" not in found.words


def test_everything_together() -> None:
    rng = np.random.default_rng(1)
    true = rng.standard_normal(600)
    effects = true + 3 * rng.standard_normal((6, 1)) + 1.5 * rng.standard_normal((6, 600))
    found = reliability(effects, seed=0, splits=100)
    known = 1 / (1 + 1.5**2 / 6)
    assert found.consistency.mean.value == pytest.approx(known, abs=0.05)
    assert found.split_half.full == pytest.approx(known, abs=0.05)
    assert found.split_half_ranks.full == pytest.approx(known, abs=0.05)
    assert found.agreement.mean.value < 0.5
    assert found.components.residual == pytest.approx(2.25, abs=0.2)
    means = effects.mean(axis=0)
    for estimate, reached in (
        (found.ceiling_pearson, stats.pearsonr(true, means).statistic),
        (found.ceiling_spearman, stats.spearmanr(true, means).statistic),
    ):
        assert estimate.value == pytest.approx(reached, abs=0.03)
        assert estimate.low < estimate.value < estimate.high
    assert found.verdict.words == "measurable"


def test_the_ceiling_of_ranks_covers_the_true_one() -> None:
    """Of 95 % intervals for Spearman's ceiling, over points, 92 to 97 % hold it."""
    known = 1 / (1 + 1.5**2 / 4)
    rng = np.random.default_rng(2)
    covered = 0
    for trial in range(400):
        effects = rng.standard_normal(30) + 1.5 * rng.standard_normal((4, 30))
        statistic = mean_reliability(Panel.of_one(effects[0], effects), "spearman", seed=0)

        def over_points(weights, statistic=statistic):
            ones = np.ones((len(weights["points"]), 1))
            fixed = {"repeats": ones, "tests": ones, "replicates": np.tile(ones, 4)}
            return statistic({**weights, **fixed})

        found = nested_bootstrap(over_points, [Axis("points", 30)], seed=trial, draws=200)
        interval = found.estimate.map(lambda value: ceiling(value, "spearman"))
        covered += interval.low <= ceiling(known, "spearman") <= interval.high
    assert 0.92 <= covered / 400 <= 0.97


@pytest.mark.parametrize(
    "effects",
    [np.ones((1, 6)), np.zeros((3, 6)), np.full((3, 6), np.nan), np.ones((3, 1))],
    ids=["one replicate", "constant", "nan", "one point"],
)
def test_where_it_means_nothing(effects: np.ndarray) -> None:
    found = reliability(effects, seed=0)
    assert not has_nan(found)
    assert found.components is None
    assert found.ceiling_pearson.reason == found.ceiling_spearman.reason
    assert found.verdict.measurable is None
    assert found.verdict.words == f"not known whether measurable: {found.ceiling_pearson.reason}"
