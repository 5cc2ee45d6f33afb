"""The algebra of resampling crossed axes, against its definition and against mean squares."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from fragility.statistics import Axis
from fragility.statistics.overlap import subsets, untangled
from fragility.statistics.resampling import counts, restricted


def test_subsets() -> None:
    assert [sorted(s) for s in subsets(["a", "b", "c"])] == [
        ["a"],
        ["b"],
        ["c"],
        ["a", "b"],
        ["a", "c"],
        ["b", "c"],
        ["a", "b", "c"],
    ]


def test_products_of_counts_hold_parts_as_often_as_said() -> None:
    """E prod w^2 - 1 = 2^k - 1 for k axes of many units, by enumeration of Poisson counts."""
    counts_of, chances = np.arange(20), np.ones(20)
    for k in range(1, 20):
        chances[k] = chances[k - 1] / k
    chances /= np.e
    for axes in (1, 2, 3):
        square = sum(
            np.prod([chances[i] * counts_of[i] ** 2 for i in place])
            for place in product(range(20), repeat=axes)
        )
        assert square - 1 == pytest.approx(2**axes - 1)


@pytest.mark.parametrize("names", ["a", "ab", "abc", "abcd"])
def test_the_parts_are_recovered(names: str) -> None:
    rng = np.random.default_rng(0)
    sets = list(subsets(list(names)))
    parts = dict(zip(sets, rng.exponential(size=len(sets)), strict=True))
    drawn = {b: sum((2 ** len(a & b) - 1) * parts[a] for a in sets) for b in sets}
    found = untangled(drawn, [Axis(name, 10**9) for name in names])
    assert found.variance == pytest.approx(sum(parts.values()))


def test_one_axis_is_the_textbook_variance() -> None:
    found = untangled({frozenset("a"): 0.8}, [Axis("a", 5)])
    assert (found.variance, found.freedom) == (pytest.approx(1.0), pytest.approx(4))
    halves = untangled({frozenset("a"): 0.8}, [Axis("a", 5, averaged=True)])
    assert (halves.variance, halves.freedom) == (pytest.approx(0.8), pytest.approx(4))


def test_nothing_varies() -> None:
    found = untangled(dict.fromkeys(subsets("ab"), 0.0), [Axis("a", 5), Axis("b", 5)])
    assert (found.variance, found.freedom) == (0, np.inf)


def test_two_crossed_axes_have_the_variance_of_their_mean_squares() -> None:
    """The mean of a crossed table has variance (MSR + MSC - MSE)/(rows x columns)."""
    rng = np.random.default_rng(1)
    rows, columns = Axis("rows", 30), Axis("columns", 20)
    table = rng.standard_normal((30, 20))
    table += 0.3 * rng.standard_normal((30, 1)) + 0.3 * rng.standard_normal((1, 20))
    table -= table.mean()
    of_rows = 20 * np.sum(table.mean(axis=1) ** 2) / 29
    of_columns = 30 * np.sum(table.mean(axis=0) ** 2) / 19
    rest = table - table.mean(axis=1, keepdims=True) - table.mean(axis=0)
    expected = (of_rows + of_columns - np.sum(rest**2) / (29 * 19)) / 600
    weights = counts([rows, columns], 40_000, seed=0)
    drawn = {}
    for chosen in subsets(["rows", "columns"]):
        w = restricted(weights, [rows, columns], chosen)
        drawn[chosen] = np.var(np.sum(w["rows"] @ table * w["columns"], axis=1) / 600)
    assert untangled(drawn, [rows, columns]).variance == pytest.approx(expected, rel=0.03)
    assert drawn[frozenset(["rows", "columns"])] > 1.1 * expected
