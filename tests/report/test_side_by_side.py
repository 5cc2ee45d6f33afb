"""Two runs side by side: differences and intervals against scipy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from scipy import stats

from fragility.report.side_by_side import Difference, side_by_side
from fragility.statistics import holm

RNG = np.random.default_rng(0)


def rows(
    values: Sequence[float | None], metric: str = "pearson", arm: str = "mlp", seed: int = 0
) -> list[dict[str, Any]]:
    return [
        {
            "arm": arm,
            "estimator": "exact",
            "procedure": "warm",
            "metric": metric,
            "repeat": repeat,
            "seed": seed,
            "value": value,
        }
        for repeat, value in enumerate(values)
    ]


def only(first: list[dict[str, Any]], second: list[dict[str, Any]]) -> Difference:
    (found,) = side_by_side(first, second, 0.1).rows
    return found


def test_repeats_of_one_seed_are_paired_as_by_scipy() -> None:
    a = RNG.normal(0.5, 0.2, 8)
    b = a + RNG.normal(0.3, 0.02, 8)
    found, theirs = only(rows(a), rows(b)), stats.ttest_rel(b, a)
    assert found.paired
    interval = theirs.confidence_interval()
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))
    assert found.p == pytest.approx(theirs.pvalue)
    assert found.difference == pytest.approx(b.mean() - a.mean())
    assert found.verdict == "differs"


@pytest.mark.parametrize("other", [{"seed": 1}, {}])
def test_other_repeats_are_welchs(other: dict[str, int]) -> None:
    a, b = RNG.normal(0.5, 0.1, 8), RNG.normal(0.6, 0.3, 8 if other else 12)
    found, theirs = only(rows(a), rows(b, **other)), stats.ttest_ind(b, a, equal_var=False)
    assert not found.paired
    interval = theirs.confidence_interval()
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))
    assert found.p == pytest.approx(theirs.pvalue)


def test_correlations_agree_within_the_margin_and_slopes_never_do() -> None:
    a = RNG.normal(0.5, 0.2, 8)
    b = a + RNG.normal(0, 0.01, 8)
    assert only(rows(a), rows(b)).verdict == "agrees"
    assert only(rows(a, "slope"), rows(b, "slope")).verdict == "cannot tell"


def test_the_same_rows_agree_whatever_they_are() -> None:
    a = [0.5, 0.6]
    found = only(rows(a, "slope"), rows(a, "slope"))
    assert (found.verdict, found.reason) == ("agrees", "the same in every repeat")
    assert only(rows([0.5]), rows([0.5])).verdict == "agrees"


def test_what_cannot_be_compared_says_why() -> None:
    found = only(rows([0.5]), rows([0.6]))
    assert found.difference == pytest.approx(0.1)
    assert (found.low, found.verdict) == (None, "cannot tell")
    assert found.reason == "1 and 1 repeats; 2 of each are needed"
    nothing = only(rows([None]), rows([0.6]))
    assert (nothing.first, nothing.difference, nothing.verdict) == (None, None, "cannot tell")
    apart = only(rows([0.5, 0.25]), rows([0.75, 0.5]))
    assert apart.reason == "the difference is the same in every repeat"


def test_p_is_corrected_over_the_arms_of_a_metric() -> None:
    arms = {f"depth={d}": (RNG.normal(0.5, 0.2, 9), RNG.normal(0.6, 0.2, 9)) for d in (2, 10, 1)}
    first = [row for arm, (a, _) in arms.items() for row in rows(a, arm=arm)]
    second = [row for arm, (_, b) in arms.items() for row in rows(b, arm=arm)]
    found = side_by_side(first + rows([1.0, 2.0], "slope"), second, 0.1).rows
    assert [one.arm for one in found] == ["depth=1", "depth=2", "depth=10"]
    raw = [stats.ttest_rel(arms[one.arm][1], arms[one.arm][0]).pvalue for one in found]
    assert [one.corrected for one in found] == pytest.approx(holm(raw))


def test_arms_of_one_run_alone_are_named() -> None:
    found = side_by_side(rows([0.1], arm="a") + rows([0.1], arm="b"), rows([0.1], arm="b"), 0.1)
    assert found.only_first == (("a", "exact", "warm"),)
    assert found.only_second == ()
