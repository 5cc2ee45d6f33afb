"""The corrected correlation: its level, what it needs, and when it is withheld."""

from __future__ import annotations

import numpy as np
import pytest

from fragility.statistics import Estimate, Panel, ceiling, disattenuated, withheld
from tests.statistics.walk import has_nan


def measured(
    rng: np.random.Generator, points: int, replicates: int, noise: float, correlation: float
) -> Panel:
    """One test point whose scores correlate so with the true effects, which noise hides."""
    scores = rng.standard_normal(points)
    true = correlation * scores + np.sqrt(1 - correlation**2) * rng.standard_normal(points)
    shifts = 2 * rng.standard_normal((replicates, 1))
    noisy = true + shifts + noise * rng.standard_normal((replicates, points))
    return Panel.of_one(scores, noisy)


def test_its_intervals_have_their_level() -> None:
    """Of 95 % intervals, 92 to 97 % hold the planted correlation, and so for what it is made of."""
    reliability = 1 / (1 + 1 / 8)
    planted = (0.7, 0.7 * np.sqrt(reliability), reliability, np.sqrt(reliability))
    rng = np.random.default_rng(0)
    covered = np.zeros((500, 4))
    for seed, trial in enumerate(covered):
        given = measured(rng, 60, 8, 1.0, 0.7)
        found = disattenuated(given, "pearson", seed=seed, draws=300)
        estimates = (found.corrected, found.observed, found.reliability, found.ceiling)
        trial[:] = [e.low <= truth <= e.high for e, truth in zip(estimates, planted, strict=True)]
    assert np.all(covered.mean(axis=0) >= 0.92)
    assert np.all(covered.mean(axis=0) <= 0.97)


@pytest.mark.parametrize("kind", ["pearson", "spearman"])
def test_it_is_the_correlation_without_noise(kind: str) -> None:
    given = measured(np.random.default_rng(1), 500, 10, 2.0, 0.6)
    found = disattenuated(given, kind, seed=0, draws=150)
    exact = 0.6 if kind == "pearson" else 6 / np.pi * np.arcsin(0.3)
    assert found.observed.value < exact - 0.05
    assert found.corrected.value == pytest.approx(exact, abs=0.08)
    assert found.corrected.value == pytest.approx(found.observed.value / found.ceiling.value)
    assert found.ceiling.value == pytest.approx(ceiling(found.reliability.value, kind))


def test_a_score_that_is_the_truth_is_corrected_to_one() -> None:
    rng = np.random.default_rng(2)
    true = rng.standard_normal((4, 5, 30))
    effects = true[..., None] + rng.standard_normal((4, 5, 30, 4))
    found = disattenuated(Panel(true, effects, own_tests=True), "pearson", seed=0, draws=300)
    assert found.corrected.reason == found.reliability.reason
    assert found.corrected.value == pytest.approx(1, abs=0.03)


def test_it_is_withheld_when_the_reliability_may_be_low() -> None:
    found = disattenuated(measured(np.random.default_rng(3), 20, 6, 3.0, 0.5), "pearson", seed=0)
    assert found.reliability.low <= 0.3
    assert found.corrected.value is None
    assert "a correction needs an interval above 0.3" in found.corrected.reason
    assert found.observed.value is not None


@pytest.mark.parametrize(
    ("reliability", "reason"),
    [
        (Estimate(0.8, 0.31, 0.9), None),
        (Estimate(0.8, 0.3, 0.9), "may be as low as 0.30"),
        (Estimate(None, None, None, "1 replicate"), "not known: 1 replicate"),
        (Estimate(0.8, None, None, "few"), "not known: few"),
    ],
)
def test_the_rule(reliability: Estimate, reason: str | None) -> None:
    found = withheld(reliability)
    assert (found is None) == (reason is None)
    if reason is not None:
        assert reason in found


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (Panel.of_one(np.arange(3.0), np.zeros((2, 3))), "3 points; at least 4 are needed"),
        (Panel.of_one(np.full(5, np.nan), np.zeros((2, 5))), "5 of 5 scores are not finite"),
        (Panel.of_one(np.arange(5.0), np.full((2, 5), np.inf)), "10 of 10 effects are not finite"),
        (Panel(np.zeros((0, 2, 5)), np.zeros((0, 2, 5, 3))), "there are no effects"),
    ],
)
def test_where_it_means_nothing(given: Panel, reason: str) -> None:
    found = disattenuated(given, "spearman", seed=0)
    assert {found.corrected.reason, found.observed.reason, found.ceiling.reason} == {reason}


@pytest.mark.parametrize("kind", ["pearson", "spearman"])
@pytest.mark.parametrize("replicates", [1, 2, 3, 4])
def test_no_answer_holds_nan(kind: str, replicates: int) -> None:
    rng = np.random.default_rng(4)
    for effects in (rng.standard_normal((replicates, 6)), np.zeros((replicates, 6))):
        found = disattenuated(Panel.of_one(np.arange(6.0), effects), kind, seed=0, draws=50)
        assert not has_nan(found)
        assert (found.corrected.value is None) == (found.corrected.reason is not None)
