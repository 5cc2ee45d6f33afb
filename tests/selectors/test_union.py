"""Several selectors together: no point twice, probabilities and identities."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from fragility.errors import UsageError
from fragility.selectors import Selector
from fragility.selectors.all import All
from fragility.selectors.indices import Indices
from fragility.selectors.misclassified import Misclassified
from fragility.selectors.random import Random
from fragility.selectors.stratified import Stratified
from fragility.selectors.top_loss import TopLoss
from fragility.selectors.top_score import TopScore
from fragility.selectors.union import Union
from tests.selectors.examples import candidates

EXACT, CG = TopScore(estimator="exact", count=6), TopScore(estimator="cg", count=6)


def union(*parts: Selector, **fields: Any) -> Union:
    return Union(of=parts, **fields)


def test_a_part_chooses_from_what_those_before_have_left() -> None:
    among = candidates()
    choice = union(EXACT, CG, TopLoss(count=2)).choose(among)
    exact, cg = (np.abs(among.scores[label]).mean(axis=0) for label in ("exact", "cg"))
    expected = [*np.argsort(-exact)[:6]]
    expected += [point for point in np.argsort(-cg) if point not in expected][:6]
    expected += [point for point in np.argsort(-among.losses) if point not in expected][:2]
    assert choice.points.tolist() == expected
    assert choice.roles == ("top_score",) * 12 + ("top_loss",) * 2
    values = [*exact[expected[:6]], *cg[expected[6:12]], *among.losses[expected[12:]]]
    assert choice.values.tolist() == values
    assert np.isnan(choice.probabilities).all()


@given(counts=st.tuples(*[st.integers(1, 12)] * 3), seed=st.integers(0, 2**32))
def test_no_point_is_there_twice_and_none_is_missing(counts: tuple[int, ...], seed: int) -> None:
    whole = union(
        Random(count=counts[0]),
        TopScore(estimator="exact", count=counts[1]),
        TopLoss(count=counts[2]),
        Indices(indices=(7, 59)),
    )
    choice = whole.choose(candidates(seed=seed))
    assert len(set(choice.points)) == len(choice.points) == sum(counts) + 2
    assert len(whole.slots(60)) == len({str(slot) for slot in whole.slots(60)}) == sum(counts) + 2
    # Named points first, whatever the list says; then those chosen, and last those drawn.
    assert choice.points[:2].tolist() == [7, 59]
    assert choice.roles[-counts[0] :] == ("random",) * counts[0]
    # The chosen ones are certain, the others are drawn from what is left.
    certain = 2 + counts[1] + counts[2]
    assert (choice.probabilities[:certain] == 1).all()
    np.testing.assert_allclose(choice.probabilities[certain:], counts[0] / (60 - certain))


@pytest.mark.parametrize(
    "drawn", [Random(count=5), Stratified(by="loss", quantiles=(0.4, 0.8), count=9)]
)
def test_points_are_drawn_as_often_as_their_probability_says(drawn: Selector) -> None:
    draws, times, told = 3000, np.zeros(60), np.full(60, np.nan)
    for seed in range(draws):
        choice = union(EXACT, drawn, TopLoss(count=4)).choose(candidates(seed=seed))
        times[choice.points] += 1
        told[choice.points] = choice.probabilities
    assert told.sum() == pytest.approx(10 + drawn.count)
    error = np.sqrt(told * (1 - told) / draws)
    assert (np.abs(times / draws - told) <= 4.5 * error + 1e-12).all()


def test_all_that_is_left_is_certain() -> None:
    choice = union(All(), EXACT).choose(candidates())
    assert sorted(choice.points) == list(range(60))
    assert (choice.probabilities == 1).all()
    assert choice.roles[:7] == ("top_score",) * 6 + ("all",)


def test_the_first_part_stands_as_if_alone() -> None:
    assert union(EXACT, Random(count=3)).slots(60)[:6] == EXACT.slots(60)
    more = union(EXACT, Random(count=9)).slots(60)
    assert more[:9] == union(EXACT, Random(count=3)).slots(60)
    # What a later part finds depends on what was taken before.
    fewer = union(TopScore(estimator="exact", count=5), Random(count=3)).slots(60)
    assert not {str(slot) for slot in fewer[5:]} & {str(slot) for slot in more}


def test_whose_scores_choose_is_part_of_the_identity() -> None:
    one = union(EXACT, CG, TopScore(estimator="exact", sign="negative"))
    other = union(EXACT, CG, TopScore(estimator="cg", sign="negative"))
    assert one.needs_scores_of == other.needs_scores_of == ("exact", "cg")
    assert one.slots(60)[:12] == other.slots(60)[:12]
    assert one.slots(60)[12] != other.slots(60)[12]
    renamed = union(
        TopScore(estimator="a", count=6),
        TopScore(estimator="b", count=6),
        TopScore(estimator="a", sign="negative"),
    )
    assert renamed.slots(60) == one.slots(60)


def test_a_part_may_find_less_than_it_may_look_for() -> None:
    among = candidates()
    wrong = int(among.wrong().sum())
    whole = union(Misclassified(count=40), TopLoss(count=1))
    assert whole.varies
    assert len(whole.choose(among).points) == wrong + 1
    assert "Use `max_loss`" in str(whole.refusal("regression"))


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ((Random(count=2), Stratified(by="loss", count=3)), "two parts draw"),
        ((Random(count=2), All()), "two parts draw"),
        ((Indices(indices=(1,)), Indices(indices=(2,))), "two parts name"),
        ((TopLoss(fix_across_repeats=True), Random()), "of the union, not of its parts"),
        ((), "at least 1 item"),
    ],
)
def test_parts_must_fit_together(parts: tuple[Selector, ...], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        union(*parts)


def test_a_union_holds_no_union() -> None:
    with pytest.raises(ValidationError, match="'union' found using 'kind' does not match"):
        Union.model_validate({"of": [{"kind": "union", "of": [{"kind": "random"}]}]})


def test_too_many_points_are_refused() -> None:
    with pytest.raises(UsageError, match="`random` asks for 10 points, but there are 9"):
        union(EXACT, Random(count=10)).slots(15)
    with pytest.raises(UsageError, match="positions end at 14"):
        union(EXACT, Indices(indices=(15,))).slots(15)
