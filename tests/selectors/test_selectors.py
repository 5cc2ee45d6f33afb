"""The points that selectors choose."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from fragility.errors import UsageError
from fragility.selectors import SELECTORS, Candidates, Selector
from fragility.selectors.all import All
from fragility.selectors.band import Band
from fragility.selectors.bottom_score import BottomScore
from fragility.selectors.indices import Indices
from fragility.selectors.max_loss import MaxLoss
from fragility.selectors.median_loss import MedianLoss
from fragility.selectors.min_loss import MinLoss
from fragility.selectors.misclassified import Misclassified
from fragility.selectors.quantiles import Quantiles
from fragility.selectors.random import Random
from fragility.selectors.top_loss import TopLoss
from fragility.selectors.top_score import TopScore
from tests.selectors.examples import candidates

LOSSES = np.array([0.3, 0.9, 0.1, 0.5, 0.7])
SCORES = np.array([[0.1, -3.0, 0.0, 2.0, 0.2], [0.3, -1.0, 0.1, 3.0, 0.0]])
WRONG = np.array([False, True, True, False, True])
FIVE = Candidates(
    LOSSES,
    {"exact": SCORES},
    0,
    np.zeros((5, 2)),
    np.zeros(5, dtype=np.int64),
    lambda: WRONG,
    lambda: np.zeros(5),
)


def chosen(selector: Selector) -> list[int]:
    return selector.choose(FIVE).points.tolist()


def test_each_rule_chooses_what_it_says() -> None:
    assert chosen(All()) == [0, 1, 2, 3, 4]
    assert chosen(Indices(indices=(4, 1))) == [4, 1]
    assert chosen(TopLoss(count=2)) == chosen(MaxLoss(count=2)) == [1, 4]
    assert chosen(MinLoss(count=2)) == [2, 0]
    assert chosen(MedianLoss(count=3)) == [3, 0, 4]
    assert chosen(Misclassified(count=2)) == [1, 4]
    assert sorted(chosen(Random(count=5))) == [0, 1, 2, 3, 4]


def test_scores_are_averaged_over_test_points() -> None:
    def by(kind: type[Selector], **fields: Any) -> list[int]:
        return chosen(kind(estimator="exact", **fields))

    # The mean |score| is 0.2, 2, 0.05, 2.5, 0.1 and the mean score 0.2, -2, 0.05, 2.5, 0.1.
    assert by(TopScore, count=2) == [3, 1]
    assert by(TopScore, count=3, sign="positive") == [3, 0, 4]
    assert by(TopScore, count=2, sign="negative") == [1, 2]
    assert by(BottomScore, count=3) == [2, 4, 0]
    assert by(Band, percentile=75, count=2) == [1, 0]


def test_what_a_point_was_chosen_by_is_told() -> None:
    assert TopLoss(count=2).choose(FIVE).values.tolist() == [0.9, 0.7]
    assert TopScore(count=1, estimator="exact").choose(FIVE).values.tolist() == [2.5]
    negative = TopScore(count=1, estimator="exact", sign="negative").choose(FIVE)
    assert negative.values.tolist() == [-2.0]
    assert np.isnan(Random(count=2).choose(FIVE).values).all()
    assert MedianLoss(count=2).choose(FIVE).roles == ("median_loss", "median_loss")


@given(size=st.integers(1, 40), count=st.integers(1, 40))
def test_quantiles_are_those_of_the_empirical_distribution(size: int, count: int) -> None:
    count = min(count, size)
    among = candidates(size, classes=1)
    choice = Quantiles(count=count).choose(among)
    levels = (np.arange(count) + 0.5) / count
    expected = np.quantile(among.losses, levels, method="inverted_cdf")
    np.testing.assert_array_equal(choice.values, expected)
    np.testing.assert_array_equal(among.losses[choice.points], choice.values)
    assert len(set(choice.points)) == count


@given(percentile=st.integers(0, 100), size=st.integers(1, 40))
def test_a_band_begins_at_its_percentile(percentile: int, size: int) -> None:
    among = candidates(size, classes=1)
    found = Band(estimator="exact", percentile=percentile).choose(among).values
    sizes = np.abs(among.scores["exact"]).mean(axis=0)
    around = [np.percentile(sizes, percentile, method=m) for m in ("lower", "higher", "nearest")]
    assert found[0] in around[:2]
    # Halfway between two, ours is the lower; numpy's is the even one.
    halfway = (percentile / 100 * (size - 1)) % 1 == 0.5
    assert halfway or found[0] == around[2]


FIELDS: dict[str, dict[str, Any]] = {
    "top_score": {"estimator": "exact", "sign": "positive"},
    "bottom_score": {"estimator": "exact"},
    "band": {"estimator": "cg", "percentile": 40},
    "stratified": {"estimator": "exact", "quantiles": (0.5, 0.8)},
}
COUNTING = [
    kind
    for kind, method in SELECTORS.methods.items()
    if "count" in method.model_fields and kind != "quantiles"
]


@pytest.mark.parametrize("kind", COUNTING)
@given(count=st.integers(3, 14), seed=st.integers(0, 2**32))
def test_more_points_keep_the_first_and_their_identities(kind: str, count: int, seed: int) -> None:
    fields = {"kind": kind, **FIELDS.get(kind, {})}
    few, more = (
        SELECTORS.methods[kind].model_validate({**fields, "count": count + extra})
        for extra in (0, 1)
    )
    among = candidates(seed=seed)
    first = few.choose(among).points.tolist()
    assert more.choose(among).points.tolist()[:count] == first
    assert len(set(first)) == count
    assert more.slots(60)[:count] == few.slots(60)


def test_slots_say_how_a_point_is_found() -> None:
    assert Indices(indices=(4, 1)).slots(5) == [4, 1]
    assert TopLoss(count=1).slots(5) != MedianLoss(count=1).slots(5)
    assert TopScore(count=2, estimator="a").slots(5) == TopScore(count=2, estimator="b").slots(5)
    by_sign = [TopScore(estimator="a", sign=sign).slots(5) for sign in ("positive", "negative")]
    assert by_sign[0] != by_sign[1]
    assert Band(estimator="a").slots(5) != Band(estimator="a", percentile=31).slots(5)
    # A quantile is the same whatever others are asked for.
    assert Quantiles(count=1).slots(5)[0] == Quantiles(count=3).slots(5)[1]
    assert len({str(slot) for slot in Quantiles(count=5).slots(5)}) == 5
    # Which model chooses is told by the task of its training.
    assert TopLoss(fix_across_repeats=True).slots(5) == TopLoss().slots(5)


@pytest.mark.parametrize(
    "selector",
    [TopLoss(count=6), Random(count=6), Indices(indices=(5,)), Quantiles(count=6)],
    ids=lambda selector: selector.kind,
)
def test_asking_for_points_that_are_not_there_is_refused(selector: Selector) -> None:
    with pytest.raises(UsageError, match=r"but (there are 5|positions end at 4)"):
        selector.slots(5)


def test_probabilities_are_told_where_every_point_could_have_been_drawn() -> None:
    assert All().choose(FIVE).probabilities.tolist() == [1.0] * 5
    assert Random(count=2).choose(FIVE).probabilities.tolist() == [0.4, 0.4]
    for selector in (Indices(indices=(1, 2)), TopLoss(count=2), Quantiles(count=2)):
        assert np.isnan(selector.choose(FIVE).probabilities).all()


def test_only_classes_can_be_wrong() -> None:
    assert Misclassified().refusal("classification") is None
    assert "Use `max_loss`" in str(Misclassified().refusal("regression"))
    # Fewer than asked for: the model decides.
    assert chosen(Misclassified(count=5)) == [1, 4, 2]
    assert Misclassified().varies


def test_a_percentile_is_one() -> None:
    with pytest.raises(ValidationError, match="less than or equal to 100"):
        Band(estimator="a", percentile=101)
