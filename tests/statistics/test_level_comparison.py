"""Differences between levels of a factor: Student's test, balanced mean squares, levels held."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from fragility.statistics import compare_levels, equivalence_of_estimate, mixed_model
from fragility.statistics.level_comparison import REPEATS, TESTS, LevelComparison, Unit
from tests.statistics.walk import has_nan, within

MARGIN = 0.1


def units(values: np.ndarray, own: bool = False) -> dict[Unit, float]:
    """Numbers (repeats, tests) by repeat and test point; each repeat has its `own` test points."""
    return {(r, (r, t) if own else t): float(values[r, t]) for r, t in np.ndindex(*values.shape)}


def study(
    seed: int,
    means: list[float],
    shape: tuple[int, int] = (8, 12),
    sizes: tuple[float, float, float, float, float] = (0.2, 0.2, 0.05, 0.05, 0.05),
) -> dict[str, np.ndarray]:
    """Levels of these means; `sizes`: repeats and test points in common, by level, and the rest."""
    rng = np.random.default_rng(seed)
    repeats, tests = shape
    common = sizes[0] * rng.normal(size=(repeats, 1)) + sizes[1] * rng.normal(size=(1, tests))
    return {
        str(place): mean
        + common
        + sizes[2] * rng.normal(size=(repeats, 1))
        + sizes[3] * rng.normal(size=(1, tests))
        + sizes[4] * rng.normal(size=shape)
        for place, mean in enumerate(means)
    }


def compared(levels: dict[str, np.ndarray]) -> LevelComparison:
    return compare_levels({name: units(values) for name, values in levels.items()}, MARGIN)


def test_one_test_point_is_students_paired_test() -> None:
    levels = study(0, [0.5, 0.6], shape=(9, 1))
    found = compared(levels).ends
    expected = stats.ttest_rel(levels["1"].ravel(), levels["0"].ravel())
    interval = expected.confidence_interval(0.95)
    assert found.over == (REPEATS,)
    assert (found.repeats, found.tests) == (9, 1)
    assert (found.low, found.high, found.p) == pytest.approx(
        (interval.low, interval.high, expected.pvalue)
    )
    one_sided = [
        stats.ttest_1samp((levels["1"] - levels["0"]).ravel(), bound, alternative=side).pvalue
        for bound, side in ((-MARGIN, "greater"), (MARGIN, "less"))
    ]
    assert found.p_margin == pytest.approx(max(one_sided))


def test_crossed_repeats_and_test_points_are_balanced_mean_squares() -> None:
    """The variance of the mean of a two-way table is (MS repeats + MS tests - MS rest) / n."""
    levels = study(1, [0.5, 0.6])
    d = levels["1"] - levels["0"]
    r, t = d.shape
    rows, columns = d.mean(axis=1), d.mean(axis=0)
    squares = np.array([
        t * rows.var(ddof=1),
        r * columns.var(ddof=1),
        np.sum((d - rows[:, None] - columns + d.mean()) ** 2) / ((r - 1) * (t - 1)),
    ])  # fmt: skip
    assert squares[:2].min() > squares[2]
    signs = np.array([1, 1, -1])
    freedom = (signs @ squares) ** 2 / np.sum(squares**2 / [r - 1, t - 1, (r - 1) * (t - 1)])
    error = np.sqrt(signs @ squares / d.size)
    found = compared(levels).ends
    half = stats.t.ppf(0.975, freedom) * error
    assert found.over == (REPEATS, TESTS)
    assert found.value == pytest.approx(d.mean())
    assert (found.low, found.high) == pytest.approx((d.mean() - half, d.mean() + half))


def test_test_points_of_a_repeats_own_are_nested_in_it() -> None:
    levels = study(2, [0.5, 0.6])
    found = compare_levels({n: units(v, own=True) for n, v in levels.items()}, MARGIN).ends
    means = (levels["1"] - levels["0"]).mean(axis=1)
    expected = stats.ttest_1samp(means, 0)
    assert found.p == pytest.approx(expected.pvalue, rel=2e-3)
    assert found.over == (REPEATS, TESTS)


def test_without_shared_test_points_the_means_of_repeats_are_compared() -> None:
    levels = study(3, [0.5, 0.6])
    other = {(r, t + 100): x for (r, t), x in units(levels["1"]).items()}
    found = compare_levels({"0": units(levels["0"]), "1": other}, MARGIN).ends
    expected = stats.ttest_rel(levels["1"].mean(axis=1), levels["0"].mean(axis=1))
    assert (found.tests, found.over) == (0, (REPEATS,))
    assert found.p == pytest.approx(expected.pvalue)


def test_what_is_common_to_a_test_point_cancels() -> None:
    """As a fixed factor beside the same random ones it would drown."""
    levels = study(4, [0.5, 0.56], sizes=(0.0, 1.0, 0.0, 0.0, 0.05))
    found = compared(levels)
    assert found.ends.p is not None
    assert found.ends.p < 1e-4
    rows = [(n, r, t, v[r, t]) for n, v in levels.items() for r, t in np.ndindex(*v.shape)]
    names, repeats, tests, values = (list(column) for column in zip(*rows, strict=True))
    nested = [f"{n} {t}" for n, t in zip(names, tests, strict=True)]
    model = mixed_model(values, fixed={"f": names}, random={"r": repeats, "t": nested})
    assert model.tests[0].p > 0.05


def test_pairs_are_all_pairs_and_the_clearest_is_found() -> None:
    found = compared(study(5, [0.5, 0.9, 0.5]))
    assert [(p.first, p.second) for p in found.pairs] == [("0", "1"), ("0", "2"), ("1", "2")]
    assert (found.ends.first, found.ends.second) == ("0", "2")
    assert found.clearest in (found.pairs[0], found.pairs[2])
    assert found.p_different == pytest.approx(6 * min(p.p for p in found.pairs))
    slope = compared(study(6, [0.5, 0.53, 0.7]))
    assert slope.clearest is slope.ends
    assert slope.p_different == pytest.approx(2 * slope.ends.p)
    assert found.p_equivalent == max(p.p_margin for p in found.pairs)
    assert found.p_equivalent > 0.99


def test_the_chance_of_a_false_claim_is_the_level() -> None:
    """No difference called one, two levels and three; one of the margin's size called none."""
    small = (0.2, 0.2, 0.05, 0.05, 0.05)
    none = [compared(study(s, [0.5, 0.5], (6, 8), small)).p_different < 0.05 for s in range(1000)]
    edge = [compared(study(s, [0.5, 0.6], (6, 8), small)).p_equivalent < 0.05 for s in range(1000)]
    assert within(np.mean(none), 0.05, 1000)
    three = [compared(study(s, [0.5] * 3, (6, 8), small)).p_different < 0.05 for s in range(1000)]
    assert np.mean(three) < 0.05
    assert np.mean(edge) < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 1000)


def test_three_equal_levels_are_found_equivalent() -> None:
    found = compared(study(6, [0.5, 0.5, 0.5], sizes=(0.2, 0.2, 0.01, 0.01, 0.02)))
    assert found.p_equivalent < 1e-3
    assert found.p_different > 0.05


def test_a_factor_that_does_not_enter_is_identical() -> None:
    values = units(study(7, [0.5])["0"])
    found = compare_levels({"a": values, "b": values, "c": values}, MARGIN)
    assert found.identical
    assert (found.p_different, found.p_equivalent) == (1.0, 0.0)


@pytest.mark.parametrize(
    ("first", "second", "reason"),
    [
        ({(0, 0): 0.1, (0, 1): 0.2}, {(0, 0): 0.2, (0, 1): 0.2}, "one repeat says nothing"),
        ({(0, 0): 0.1}, {(1, 0): 0.2}, "no repeat is shared"),
        ({(0, 0): 0.25, (1, 0): 0.5}, {(0, 0): 0.5, (1, 0): 0.75}, "there is no error"),
        ({(0, 0): 0.1, (1, 0): 0.3}, {(0, 0): 0.2, (1, 0): 0.4}, "there is no error"),
    ],
)
def test_where_nothing_can_be_said(
    first: dict[Unit, float], second: dict[Unit, float], reason: str
) -> None:
    found = compare_levels({"a": first, "b": second}, MARGIN)
    assert reason in (found.reason or "")
    assert (found.p_different, found.p_equivalent, found.ends.value) == (None, None, None)
    assert not has_nan(found)


def test_equivalence_of_an_estimate_is_that_of_its_interval() -> None:
    found = equivalence_of_estimate(0.03, 0.02, 10, MARGIN)
    half = stats.t.ppf(0.95, 10) * 0.02
    assert (found.low, found.high) == pytest.approx((0.03 - half, 0.03 + half))
    assert found.answer == "equivalent"
    assert found.p == pytest.approx(stats.t.cdf((0.03 - MARGIN) / 0.02, 10))
