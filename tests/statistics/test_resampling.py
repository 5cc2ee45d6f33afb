"""Which axes are resampled, and with what weights."""

from __future__ import annotations

import numpy as np
import pytest

from fragility.statistics import Axis
from fragility.statistics.resampling import (
    bootstrap_counts,
    counts,
    half_samples,
    resampled,
    restricted,
    without_one,
)


def names(*axes: Axis) -> list[str]:
    return [axis.name for axis in resampled(axes)]


def test_crossed_axes_are_all_resampled() -> None:
    assert names(Axis("repeats", 5), Axis("tests", 3), Axis("points", 9)) == [
        "repeats",
        "tests",
        "points",
    ]


def test_nested_axes_come_with_what_carries_them() -> None:
    tests, points = Axis("tests", 3, "repeats"), Axis("points", 9, "tests")
    assert names(Axis("repeats", 5), tests, points) == ["repeats"]
    assert names(Axis("repeats", 1), tests, points) == ["tests"]
    assert names(Axis("repeats", 1), Axis("tests", 1, "repeats"), points) == ["points"]
    assert names(Axis("repeats", 1)) == []


def test_few_averaged_units_are_not_resampled() -> None:
    assert names(Axis("replicates", 3, averaged=True)) == []
    assert names(Axis("replicates", 4, averaged=True)) == ["replicates"]


@pytest.mark.parametrize("size", [2, 7, 30])
def test_counts_are_those_of_drawing_with_replacement(size: int) -> None:
    drawn = bootstrap_counts(size, 40_000, seed=0)
    assert set(drawn.sum(axis=1)) == {size}
    covariance = np.cov(drawn, rowvar=False)
    assert covariance == pytest.approx(np.eye(size) - 1 / size, abs=0.05)


@pytest.mark.parametrize("size", [4, 10])
def test_halves_vary_like_the_mean_of_a_sample(size: int) -> None:
    """The mean of a half has the variance of the whole's mean, s^2/n, with n - 1 in s^2."""
    values = np.random.default_rng(0).standard_normal(size)
    drawn = half_samples(size, 40_000, seed=0)
    assert set(np.unique(drawn)) == {0, 1}
    means = drawn @ values / drawn.sum(axis=1)
    assert means.var() == pytest.approx(values.var(ddof=1) / size, rel=0.03)


def test_the_middle_unit_is_in_every_second_half() -> None:
    drawn = half_samples(5, 40_000, seed=0)
    assert drawn[::2].sum(axis=1) == pytest.approx(3)
    assert drawn[1::2].sum(axis=1) == pytest.approx(2)
    assert drawn.mean(axis=0) == pytest.approx(np.full(5, 0.5), abs=0.01)


def test_axes_are_drawn_independently_and_named_seeds_keep_them_apart() -> None:
    a, b = Axis("a", 6), Axis("b", 6)
    both, alone = counts([a, b], 50, seed=3), counts([b], 50, seed=3)
    assert np.array_equal(both["b"], alone["b"])
    assert not np.array_equal(both["a"], both["b"])
    assert not np.array_equal(counts([b], 50, seed=4)["b"], alone["b"])


def test_restricted_and_left_out() -> None:
    a, b = Axis("a", 2), Axis("b", 3)
    weights = counts([a, b], 4, seed=0)
    kept = restricted(weights, [a, b], {"b"})
    assert np.array_equal(kept["a"], np.ones((4, 2)))
    assert kept["b"] is weights["b"]
    left_out = without_one(b, [a, b])
    assert np.array_equal(left_out["b"], 1 - np.eye(3))
    assert np.array_equal(left_out["a"], np.ones((3, 2)))


def test_units_of_a_stratum_are_drawn_within_it() -> None:
    axis = Axis("points", 12, strata=(tuple(range(4)), tuple(range(4, 12))))
    drawn = counts([axis], 500, seed=0)["points"]
    assert (drawn[:, :4].sum(axis=1) == 4).all()
    assert (drawn[:, 4:].sum(axis=1) == 8).all()
    # Multinomial within each: the variance of a count is 1 - 1/n of its stratum.
    assert drawn[:, :4].var() == pytest.approx(1 - 1 / 4, abs=0.08)
    assert drawn[:, 4:].var() == pytest.approx(1 - 1 / 8, abs=0.08)
    assert axis.freedom == 10
