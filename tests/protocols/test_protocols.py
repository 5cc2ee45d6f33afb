from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from scipy.stats import pearsonr, spearmanr

from fragility.protocols import PROTOCOLS, Stored

RNG = np.random.default_rng(5)
TESTS, POINTS = 6, 30


def stored(seed: int = 0, **changes: Any) -> Stored:
    rng = np.random.default_rng(seed)
    scores = rng.standard_t(4, (TESTS, POINTS))
    effects = scores + rng.normal(size=scores.shape)
    made = Stored(
        truth="warm",
        tests=np.arange(TESTS),
        removed=np.arange(POINTS),
        scores=scores,
        effects=effects,
        single=effects + rng.normal(size=scores.shape),
        losses=rng.permutation(TESTS).astype(float),
        replicates=3,
    )
    return dataclasses.replace(made, **changes)


def number(kind: str, arm: dict[str, list[Stored]], **fields: Any) -> float:
    found = PROTOCOLS.methods[kind].model_validate({"kind": kind, **fields}).rescored(arm)
    assert found.specification is not None, found.reason
    return found.specification.number.value


def reason(kind: str, arm: dict[str, list[Stored]], **fields: Any) -> str:
    found = PROTOCOLS.methods[kind].model_validate({"kind": kind, **fields}).rescored(arm)
    assert found.specification is None
    assert found.reason is not None
    assert found.reason.endswith(".")
    return found.reason


def test_basu_takes_the_largest_loss_and_the_top_of_the_absolute_scores() -> None:
    one = stored()
    test = int(np.argmax(one.losses))
    top = np.argsort(-np.abs(one.scores[test]))[:10]
    expected = spearmanr(one.scores[test, top], one.single[test, top]).statistic
    assert number("basu-2021", {"w": [one]}, points=10) == pytest.approx(expected, abs=1e-12)


def test_koh_and_liang_is_pearson_of_one_test_point() -> None:
    one = stored()
    values = []
    for test in range(TESTS):
        top = np.argsort(-np.abs(one.scores[test]))[:12]
        values.append(pearsonr(one.scores[test, top], one.single[test, top]).statistic)
    found = number("koh-liang-2017", {"w": [one]}, points=12)
    assert np.min(np.abs(np.array(values) - found)) < 1e-12


def test_epifano_averages_the_size_over_repeats() -> None:
    losses = RNG.permutation(POINTS).astype(float)
    repeats = [stored(seed, train_losses=losses) for seed in range(4)]
    top = np.argsort(-losses)[:25]
    values = []
    for one in repeats:
        test = int(np.argmax(one.losses))
        values.append(abs(spearmanr(one.scores[test, top], one.single[test, top]).statistic))
    assert number("epifano-2023", {"w": repeats}) == pytest.approx(np.mean(values), abs=1e-12)


def test_epifano_goes_by_scores_where_no_training_loss_is_stored() -> None:
    one = stored()
    test = int(np.argmax(one.losses))
    top = np.argsort(-np.abs(one.scores[test]))[:25]
    expected = abs(spearmanr(one.scores[test, top], -one.single[test, top]).statistic)
    flipped = stored(single=-one.single)
    assert number("epifano-2023", {"w": [flipped]}) == pytest.approx(expected, abs=1e-12)


def test_grosse_holds_pbrf_against_the_scores_of_all_test_points() -> None:
    one, other = stored(truth="pbrf"), stored(1)
    expected = np.mean(
        [pearsonr(s, e).statistic for s, e in zip(one.scores, one.effects, strict=True)]
    )
    arm = {"p": [one], "w": [other]}
    assert number("grosse-2023", arm) == pytest.approx(expected, abs=1e-12)
    assert "proximal Bregman" in reason("grosse-2023", {"w": [other]})


def test_grosse_draws_as_many_random_points_as_it_says() -> None:
    one = stored(truth="pbrf")
    found = PROTOCOLS.methods["grosse-2023"].model_validate({"kind": "grosse-2023", "points": 9})
    specification = found.rescored({"p": [one]}).specification
    assert specification is not None
    assert (specification.number.n, specification.number.tests) == (9, TESTS)


def test_lds_is_spearman_over_groups_and_nothing_else() -> None:
    groups = stored(2, group=True, truth="subsets, cold over seeds")
    points = stored(3)
    expected = np.mean(
        [spearmanr(s, e).statistic for s, e in zip(groups.scores, groups.effects, strict=True)]
    )
    assert number("lds", {"a": [points], "g": [groups]}) == pytest.approx(expected, abs=1e-12)
    assert (
        reason("lds", {"a": [points]}) == "The study stores no retraining without groups of points."
    )
    assert "30 groups were removed; it takes 31." in reason("lds", {"g": [groups]}, subsets=31)


def test_recommended_weighs_points_by_the_inverse_of_their_probability() -> None:
    counts = RNG.integers(1, 5, POINTS)
    one = stored(weights=counts.astype(float))
    expected = np.mean(
        [
            spearmanr(np.repeat(s, counts), np.repeat(e, counts)).statistic
            for s, e in zip(one.scores, one.effects, strict=True)
        ]
    )
    assert number("recommended", {"w": [one]}) == pytest.approx(expected, abs=1e-12)


def test_the_better_truth_is_taken_whatever_its_label() -> None:
    arm = {"a": [stored(0)], "b": [stored(1, truth="cold over seeds")]}
    found = PROTOCOLS.methods["recommended"].model_validate({"kind": "recommended"}).rescored(arm)
    assert found.specification is not None
    assert found.specification.procedure == "b"


def test_too_few_points_are_a_reason_that_says_what_to_declare() -> None:
    assert reason("koh-liang-2017", {"w": [stored()]}) == (
        "30 points were removed; it takes 100."
        " `{kind: koh-liang-2017, points: N}` applies its rule to N."
    )


def test_constants_are_a_reason() -> None:
    flat = stored(effects=np.zeros((TESTS, POINTS)))
    assert reason("recommended", {"w": [flat]}) == "Scores or effects are constant."


@pytest.mark.parametrize("kind", PROTOCOLS.methods)
def test_an_arm_without_anything_is_a_reason(kind: str) -> None:
    assert reason(kind, {}).startswith("The study stores no")


def test_the_published_protocols_are_there() -> None:
    assert list(PROTOCOLS.methods) == [
        "basu-2021",
        "epifano-2023",
        "grosse-2023",
        "koh-liang-2017",
        "lds",
        "recommended",
    ]
