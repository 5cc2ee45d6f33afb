"""Samples in strata: scipy where there is one stratum, permutation and coverage where several."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from fragility.statistics.stratified import average_median_difference, van_elteren


def strata(rng: np.random.Generator, shift: float = 0.0, count: int = 4) -> list:
    return [
        (rng.normal(centre + shift, 0.2, 20 + centre), rng.normal(centre, 0.2, 50))
        for centre in range(count)
    ]


@pytest.mark.parametrize("decimals", [8, 1])
def test_of_one_stratum_it_is_mann_and_whitneys_test(decimals: int) -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(0.1, 0.2, 30).round(decimals), rng.normal(0, 0.3, 25).round(decimals)
    theirs = stats.mannwhitneyu(a, b, use_continuity=False, method="asymptotic")
    assert van_elteren([(a, b)]) == pytest.approx(theirs.pvalue)


def test_p_is_that_of_permutations_within_strata() -> None:
    rng = np.random.default_rng(1)
    pairs = [(a.round(1), b.round(1)) for a, b in strata(rng, 0.06)]

    def statistic(pairs: list) -> float:
        # Written out: the mean rank of the first sample, against what it is on average.
        return sum(
            a.size
            * (
                stats.rankdata(np.concatenate([a, b]))[: a.size].mean() / (a.size + b.size + 1)
                - 0.5
            )
            for a, b in pairs
        )

    drawn = []
    for _ in range(4000):
        shuffled = [rng.permutation(np.concatenate(pair)) for pair in pairs]
        drawn.append(
            statistic(
                [(s[: a.size], s[a.size :]) for s, (a, _) in zip(shuffled, pairs, strict=True)]
            )
        )
    p = np.mean(np.abs(drawn) >= abs(statistic(pairs)))
    assert van_elteren(pairs) == pytest.approx(p, abs=4 * np.sqrt(p * (1 - p) / 4000) + 0.003)


def test_strata_far_apart_do_not_hide_a_shift_as_pooling_does() -> None:
    rng = np.random.default_rng(2)
    pairs = strata(rng, 0.1)
    first, second = (np.concatenate(side) for side in zip(*pairs, strict=True))
    assert van_elteren(pairs) < 1e-3
    assert stats.mannwhitneyu(first, second).pvalue > 0.05


def test_its_level() -> None:
    rng = np.random.default_rng(3)
    rejected = np.mean([van_elteren(strata(rng)) <= 0.05 for _ in range(1000)])
    assert rejected == pytest.approx(0.05, abs=0.02)


def test_constant_samples_do_not_differ() -> None:
    assert van_elteren([(np.ones(6), np.ones(7))]) == 1


def test_the_average_and_its_coverage() -> None:
    rng = np.random.default_rng(4)
    covered = 0
    for trial in range(400):
        pairs = strata(rng, 0.1)
        found = average_median_difference(pairs, seed=trial, confidence=0.9, draws=300)
        assert found.value == pytest.approx(
            np.mean([np.median(a) - np.median(b) for a, b in pairs])
        )
        covered += found.low <= 0.1 <= found.high
    assert 0.87 <= covered / 400 <= 0.95


def test_why_there_is_none() -> None:
    few, many = np.ones(4), np.arange(5.0)
    for pairs, reason in (
        ([], "there are no strata"),
        ([(many, many), (few, many)], "a sample has 4 values; 5 are needed"),
        ([(many, many * np.nan)], "5 of 10 values are not finite"),
    ):
        found = average_median_difference(pairs, seed=0, confidence=0.9)
        assert (found.value, found.reason) == (None, reason)
