"""What a selection makes of an agreement, and that known probabilities undo it.

The joint distribution of scores and effects is held fixed: 5,000 pairs with a rank correlation of
0.84. Whatever differs from that is the selection's doing.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from fragility.metrics import METRICS, measure
from fragility.selectors import Candidates, Choice, Selector
from fragility.selectors.band import Band
from fragility.selectors.random import Random
from fragility.selectors.stratified import Stratified
from fragility.selectors.top_score import TopScore
from fragility.selectors.union import Union

N, DRAWS = 5000, 300
GENERATOR = np.random.default_rng(0)
SCORES = GENERATOR.laplace(size=N)
EFFECTS = SCORES + 0.72 * GENERATOR.standard_normal(N)
POPULATION = {
    "pearson": stats.pearsonr(SCORES, EFFECTS).statistic,
    "spearman": stats.spearmanr(SCORES, EFFECTS).statistic,
}
METRIC = {kind: METRICS.methods[kind](kind=kind) for kind in POPULATION}


def drawn(selector: Selector, seed: int = 0) -> Choice:
    nothing = np.zeros(N)
    scores = {"exact": SCORES[None]}
    return selector.choose(
        Candidates(
            nothing, scores, seed, nothing, nothing, lambda: nothing.astype(bool), lambda: nothing
        )
    )


def estimates(selector: Selector, kind: str, *, weighted: bool) -> np.ndarray:
    found = np.empty(DRAWS)
    for seed in range(DRAWS):
        choice = drawn(selector, seed)
        agreements, _ = measure(
            SCORES[None, choice.points],
            EFFECTS[None, None, choice.points],
            [METRIC[kind]],
            seed=0,
            draws=1,
            probabilities=choice.probabilities if weighted else None,
        )
        found[seed] = agreements[0].value
    return found


def off(values: np.ndarray, truth: float) -> float:
    """How many standard errors of its mean the values are off."""
    return float((values.mean() - truth) / stats.sem(values))


def test_the_population_is_the_one_that_is_meant() -> None:
    assert POPULATION["spearman"] == pytest.approx(0.84, abs=0.01)


@pytest.mark.parametrize("kind", POPULATION)
def test_the_highest_scores_agree_too_well_and_a_band_too_badly(kind: str) -> None:
    top = drawn(TopScore(estimator="exact", count=40)).points
    band = drawn(Band(estimator="exact", count=40)).points
    one_sign = band[SCORES[band] > 0]
    values = {
        name: METRIC[kind].values(SCORES[points], EFFECTS[points], np.ones((1, len(points))))[0]
        for name, points in (("top", top), ("band", band), ("one sign", one_sign))
    }
    assert values["top"] > POPULATION[kind] + 0.08
    assert values["band"] < POPULATION[kind] - 0.2
    assert abs(values["one sign"]) < 0.4


SMALL = {
    "strata": Stratified(estimator="exact", count=60),
    "tail and sample": Union(of=(TopScore(estimator="exact", count=20), Random(count=40))),
}


@pytest.mark.parametrize("design", SMALL.values(), ids=SMALL.keys())
def test_few_drawn_points_estimate_the_population(design: Selector) -> None:
    raw = estimates(design, "pearson", weighted=False)
    assert off(raw, POPULATION["pearson"]) > 50
    assert abs(off(estimates(design, "pearson", weighted=True), POPULATION["pearson"])) < 3
    # A rank correlation of k points is expected at 3 (tau - rho)/(k + 1) off that of the population
    # they were drawn from (Hoeffding, Ann. Math. Stat. 19 (1948) 293-325); weights make k Kish's.
    tau = stats.kendalltau(SCORES, EFFECTS).statistic
    weights = 1 / drawn(design).probabilities
    k = weights.sum() ** 2 / (weights @ weights)
    expected = POPULATION["spearman"] + 3 * (tau - POPULATION["spearman"]) / (k + 1)
    assert abs(off(estimates(design, "spearman", weighted=True), expected)) < 3


@pytest.mark.parametrize("kind", POPULATION)
def test_many_drawn_points_estimate_the_population_without_bias(kind: str) -> None:
    design = Stratified(estimator="exact", count=1000)
    assert off(estimates(design, kind, weighted=False), POPULATION[kind]) > 50
    assert abs(off(estimates(design, kind, weighted=True), POPULATION[kind])) < 3


@pytest.mark.parametrize("design", SMALL.values(), ids=SMALL.keys())
def test_intervals_hold_the_population(design: Selector) -> None:
    held = dict.fromkeys(POPULATION, 0)
    for seed in range(DRAWS):
        choice = drawn(design, seed)
        agreements, _ = measure(
            SCORES[None, choice.points],
            EFFECTS[None, None, choice.points],
            list(METRIC.values()),
            seed=seed,
            draws=300,
            probabilities=choice.probabilities,
        )
        for found in agreements[: len(METRIC)]:
            held[found.metric] += found.ci_low <= POPULATION[found.metric] <= found.ci_high
    for times in held.values():
        assert 0.91 <= times / DRAWS <= 0.985
