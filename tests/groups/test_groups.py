"""The groups that groupings draw."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from fragility.errors import MethodFailure, UsageError
from fragility.groups import Grouping
from fragility.groups.cluster import Cluster
from fragility.groups.random import Random
from fragility.groups.same_class import SameClass
from fragility.groups.top_score import TopScore
from fragility.selectors import Candidates

N = 40
GENERATOR = np.random.default_rng(0)
INPUTS = GENERATOR.standard_normal((N, 3))
TARGETS = np.arange(N) % 3
SCORES = GENERATOR.standard_normal((2, N))


def candidates(seed: int = 0, targets: np.ndarray = TARGETS) -> Candidates:
    scores = {"exact": SCORES}
    zeros = np.zeros(N)
    return Candidates(
        zeros, scores, seed, INPUTS, targets, lambda: zeros.astype(bool), lambda: zeros
    )


def groupings(sizes: tuple[float, ...], count: int) -> list[Grouping]:
    return [
        Random(sizes=sizes, count=count),
        SameClass(sizes=sizes, count=count),
        Cluster(sizes=sizes, count=count),
        TopScore(sizes=sizes, count=count, estimator="exact"),
    ]


@given(
    size=st.integers(1, 12), fraction=st.floats(0.03, 0.3), count=st.integers(1, 4),
    seed=st.integers(0, 2**40),
)  # fmt: skip
def test_every_group_has_the_asked_size_of_different_points(
    size: int, fraction: float, count: int, seed: int
) -> None:
    for grouping in groupings((size, fraction), count):
        drawn = grouping.draw(candidates(seed))
        expected = [size] * count + [round(fraction * N)] * count
        assert [len(group) for group in drawn] == expected
        assert len(grouping.slots(N)) == len(drawn)
        for group in drawn:
            assert np.array_equal(group, np.unique(group))
            assert group.min() >= 0
            assert group.max() < N


@given(count=st.integers(1, 4), seed=st.integers(0, 2**40))
def test_more_groups_keep_the_first_and_their_identities(count: int, seed: int) -> None:
    few = groupings((5,), count)
    many = groupings((5,), count + 2)
    for one, other in zip(few, many, strict=True):
        assert other.slots(N)[:count] == one.slots(N)
        for mine, theirs in zip(
            one.draw(candidates(seed)), other.draw(candidates(seed))[:count], strict=True
        ):
            assert np.array_equal(mine, theirs)


def test_members_are_what_the_rule_says() -> None:
    for group in SameClass(sizes=(6,), count=20).draw(candidates()):
        assert len(set(TARGETS[group])) == 1
    for group in Cluster(sizes=(6,), count=20).draw(candidates()):
        distances = np.linalg.norm(INPUTS[group][:, None] - INPUTS[None], axis=2)
        # One member is the centre: the group is the 6 points nearest to it.
        assert any(set(np.argsort(row, kind="stable")[:6]) == set(group) for row in distances)
    order = np.argsort(-SCORES.mean(axis=0))
    for tail, pool in (("positive", order[:9]), ("negative", order[-9:])):
        grouping = TopScore(sizes=(6,), count=20, estimator="exact", tail=tail)
        drawn = grouping.draw(candidates())
        assert all(set(group) <= set(pool) for group in drawn)
        assert len({tuple(group) for group in drawn}) > 1


def test_random_members_have_equal_chances() -> None:
    drawn = Random(sizes=(10,), count=2000).draw(candidates())
    share = np.bincount(np.concatenate(drawn), minlength=N) / len(drawn)
    # Four standard errors of a proportion of 1/4.
    assert np.abs(share - 0.25).max() < 4 * np.sqrt(0.25 * 0.75 / len(drawn))


@pytest.mark.parametrize("sizes", [(40,), (0.001,), (0.999,)])
def test_sizes_that_leave_nothing_are_refused(sizes: tuple[float, ...]) -> None:
    with pytest.raises(UsageError, match=r"`sizes` has .*, which makes \d+ of 40"):
        Random(sizes=sizes).slots(N)


def test_sizes_are_fractions_or_whole_numbers() -> None:
    with pytest.raises(ValidationError, match=r"2\.5 is neither a fraction below 1"):
        Random(sizes=(2.5,))


def test_classes_must_be_there_and_large_enough() -> None:
    with pytest.raises(MethodFailure, match="no class has more than 20 training examples"):
        SameClass(sizes=(20,)).draw(candidates())
    with pytest.raises(MethodFailure, match="numbers as targets"):
        SameClass(sizes=(5,)).draw(candidates(targets=np.zeros((N, 1))))
