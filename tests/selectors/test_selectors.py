"""The points that selectors choose."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fragility.errors import UsageError
from fragility.selectors import Candidates, Selector
from fragility.selectors.all import All
from fragility.selectors.indices import Indices
from fragility.selectors.median_loss import MedianLoss
from fragility.selectors.random import Random
from fragility.selectors.top_loss import TopLoss
from fragility.selectors.top_score import TopScore

LOSSES = np.array([0.3, 0.9, 0.1, 0.5, 0.7])
SCORES = np.array([[0.1, -3.0, 0.0, 2.0, 0.2], [0.3, -1.0, 0.1, 3.0, 0.0]])


INPUTS, TARGETS = np.zeros((5, 2)), np.zeros(5, dtype=np.int64)


def candidates(seed: int = 0) -> Candidates:
    scores = {"exact": SCORES, "cg": SCORES[:, ::-1]}
    return Candidates(LOSSES, scores, seed, INPUTS, TARGETS, lambda: np.arange(5) % 2 == 0)


def chosen(selector: Selector, seed: int = 0) -> list[int]:
    return selector.choose(candidates(seed)).points.tolist()


def test_each_rule_chooses_what_it_says() -> None:
    assert chosen(All()) == [0, 1, 2, 3, 4]
    assert chosen(Indices(indices=(4, 1))) == [4, 1]
    assert chosen(TopLoss(count=2)) == [1, 4]
    assert chosen(MedianLoss(count=3)) == [3, 0, 4]
    assert chosen(TopScore(count=2, estimator="exact")) == [3, 1]
    assert sorted(chosen(Random(count=5))) == [0, 1, 2, 3, 4]


@given(count=st.integers(1, 4), seed=st.integers(0, 2**32))
def test_more_points_keep_the_first_and_their_identities(count: int, seed: int) -> None:
    for kind in (Random, TopLoss, MedianLoss):
        few, more = kind(count=count), kind(count=count + 1)
        assert chosen(more, seed)[:count] == chosen(few, seed)
        assert more.slots(5)[:count] == few.slots(5)


def test_slots_say_how_a_point_is_found() -> None:
    assert Indices(indices=(4, 1)).slots(5) == [4, 1]
    assert TopLoss(count=1).slots(5) != MedianLoss(count=1).slots(5)
    assert TopScore(count=2, estimator="a").slots(5) == TopScore(count=2, estimator="b").slots(5)


@pytest.mark.parametrize("selector", [TopLoss(count=6), Random(count=6), Indices(indices=(5,))])
def test_asking_for_points_that_are_not_there_is_refused(selector: Selector) -> None:
    with pytest.raises(UsageError, match=r"but (there are 5|positions end at 4)"):
        selector.slots(5)
