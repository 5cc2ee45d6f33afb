"""Top-k precision against sets, sorted lists with repeats, and the hypergeometric law."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fragility.metrics.top_k_precision import TopKPrecision


def value(x: np.ndarray, y: np.ndarray, k: int) -> float:
    return float(TopKPrecision(k=k).values(x, y, np.ones((1, len(x))))[0])


def inside(values: np.ndarray, room: float) -> np.ndarray:
    """The share of each value that is among the `room` largest in size, ties alike."""
    sizes = np.abs(values)
    larger = (sizes[:, None] < sizes).sum(axis=1)
    equal = (sizes[:, None] == sizes).sum(axis=1)
    return np.clip((room - larger) / equal, 0, 1)


def by_hand(x: np.ndarray, y: np.ndarray, room: float) -> float:
    """Repeats of one pair are in or out together, other ties independently."""
    a, b = inside(x, room), inside(y, room)
    tied_x = np.abs(x)[:, None] == np.abs(x)
    tied_y = np.abs(y)[:, None] == np.abs(y)
    alone = (tied_x == tied_y).all(axis=1)
    return float(np.where(alone, np.minimum(a, b), a * b).sum() / room)


@pytest.mark.parametrize("k", [1, 5, 30, 99])
def test_it_is_the_overlap_of_two_sets(k: int) -> None:
    rng = np.random.default_rng(k)
    x = rng.standard_normal(100)
    y = x + rng.standard_normal(100)
    tops = [set(np.argsort(-np.abs(v))[:k]) for v in (x, y)]
    assert value(x, y, k) == pytest.approx(len(tops[0] & tops[1]) / k)


def test_harmful_examples_count_and_signs_do_not() -> None:
    x = np.array([-9.0, 8.0, 1.0, 0.5, 0.1])
    assert value(x, -x, 2) == 1
    assert value(x, x[::-1].copy(), 2) == 0


@given(
    st.lists(
        st.tuples(st.integers(-3, 3), st.integers(-3, 3), st.integers(0, 4)),
        min_size=2,
        max_size=40,
    ),
    st.integers(1, 40),
)
def test_integer_weights_repeat_pairs_and_keep_the_share(
    pairs: list[tuple[int, int, int]], k: int
) -> None:
    x, y, counts = np.array(pairs, dtype=float).T
    found = TopKPrecision(k=k).values(x, y, counts[None])[0]
    repeated = counts.astype(int)
    room = min(1, k / len(x)) * counts.sum()
    if room == 0:
        assert np.isnan(found)
    else:
        truth = by_hand(np.repeat(x, repeated), np.repeat(y, repeated), room)
        assert found == pytest.approx(truth)


def test_a_resample_of_equal_lists_is_perfect_whatever_it_repeats() -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal(60)
    counts = rng.multinomial(60, np.full(60, 1 / 60), size=200)
    assert TopKPrecision().values(x, x, counts.astype(float)) == pytest.approx(np.ones(200))


def test_weights_beyond_the_first_groups_are_reached() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((2, 500))
    weights = np.ones((2, 500))
    weights[1, np.argsort(-np.abs(x))[:400]] = 0
    left = weights[1] > 0
    found = TopKPrecision(k=10).values(x, y, weights)
    assert found[1] == pytest.approx(by_hand(x[left], y[left], 10 * 100 / 500))


@pytest.mark.parametrize(
    ("scores", "effects", "k", "reason"),
    [
        ([1, 2, 3, 4], [1, 2, 3, 4], 4, "the 4 largest of 4 are all; give a smaller k"),
        ([1, 2, 3, 4], [0, 0, 3, 0], 2, "1 of 4 effects are not 0; at least k = 2 are needed"),
        ([1, -1, 1, 1], [1, 2, 3, 4], 2, "all 4 score sizes are equal"),
    ],
)
def test_no_value_has_a_reason(
    scores: list[float], effects: list[float], k: int, reason: str
) -> None:
    assert TopKPrecision(k=k).undefined(np.array(scores), np.array(effects)) == reason
