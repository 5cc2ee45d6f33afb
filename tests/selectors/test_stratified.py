"""Draws from strata: shares, probabilities, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from pydantic import ValidationError

from fragility.errors import MethodFailure, UsageError
from fragility.selectors.stratified import Stratified
from tests.selectors.examples import candidates

DESIGNS = {
    "scores": Stratified(estimator="exact", quantiles=(0.5, 0.8), count=15),
    "losses": Stratified(by="loss", quantiles=(0.25, 0.9), count=10, allocation="proportional"),
    "classes": Stratified(by="class", count=12),
    "classes in proportion": Stratified(by="class", count=12, allocation="proportional"),
}


@pytest.mark.parametrize("design", DESIGNS.values(), ids=DESIGNS.keys())
def test_points_are_drawn_as_often_as_their_probability_says(design: Stratified) -> None:
    draws = 3000
    times, told = np.zeros(60), np.full(60, np.nan)
    for seed in range(draws):
        choice = design.choose(candidates(seed=seed))
        times[choice.points] += 1
        told[choice.points] = choice.probabilities
    assert told.sum() == pytest.approx(design.count)
    # Four and a half standard errors: one of 240 points would be beyond in 1 of 600 such tests.
    error = np.sqrt(told * (1 - told) / draws)
    assert (np.abs(times / draws - told) <= 4.5 * error + 1e-12).all()


def test_strata_are_quantiles_and_give_alike() -> None:
    among = candidates()
    sizes = np.abs(among.scores["exact"]).mean(axis=0)
    choice = DESIGNS["scores"].choose(among)
    cuts = np.sort(sizes)[[29, 47]]
    levels = np.searchsorted(cuts, sizes[choice.points])
    assert np.bincount(levels).tolist() == [5, 5, 5]
    expected = np.array([5 / 30, 5 / 18, 5 / 12])[levels]
    np.testing.assert_allclose(choice.probabilities, expected)
    np.testing.assert_array_equal(choice.values, sizes[choice.points])


def test_a_small_stratum_gives_all_it_has_and_others_the_rest() -> None:
    among = replace(candidates(), targets=np.repeat([0, 1, 2], [4, 26, 30]))
    choice = Stratified(by="class", count=20).choose(among)
    assert np.bincount(among.targets[choice.points]).tolist() == [4, 8, 8]
    assert np.isnan(choice.values).all()


@pytest.mark.parametrize("count", [3, 4, 7, 20, 37])
def test_proportional_shares_are_those_of_equal_proportions(count: int) -> None:
    """Huntington's method makes the sum of squared sizes over shares the least, one share each."""
    among = candidates()
    sizes = np.bincount(among.targets)
    design = Stratified(by="class", count=count, allocation="proportional")
    given = np.bincount(among.targets[design.choose(among).points], minlength=3)
    possible = [
        (a, b, count - a - b)
        for a, b in product(range(1, sizes[0] + 1), range(1, sizes[1] + 1))
        if 1 <= count - a - b <= sizes[2]
    ]
    least = min(possible, key=lambda shares: float((sizes**2 / np.array(shares)).sum()))
    assert tuple(given) == least


@pytest.mark.parametrize(
    ("design", "size", "message"),
    [
        (Stratified(by="loss", count=2), 60, "draws a point from every stratum: 2 points"),
        (Stratified(by="loss", count=3, quantiles=(0.5, 0.99)), 20, "leave a stratum empty"),
        (Stratified(by="loss", count=61), 60, "asks for 61 points"),
    ],
)
def test_strata_without_points_are_refused(design: Stratified, size: int, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        design.slots(size)


def test_every_class_needs_a_point() -> None:
    with pytest.raises(MethodFailure, match="2 points are less than 3"):
        Stratified(by="class", count=2).choose(candidates())
    assert Stratified(by="class").refusal("classification") is None
    assert "Use `by: loss`" in str(Stratified(by="class").refusal("regression"))
    assert Stratified(by="loss").refusal("regression") is None


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "`by: score` needs an `estimator`"),
        ({"by": "loss", "estimator": "exact"}, "nothing else does"),
        ({"by": "class", "quantiles": (0.5,)}, "has no `quantiles`"),
        ({"by": "loss", "quantiles": (0.5, 0.5)}, "must rise"),
        ({"by": "loss", "quantiles": (0.5, 1.0)}, "less than 1"),
    ],
)
def test_fields_must_fit_together(fields: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Stratified.model_validate(fields)
