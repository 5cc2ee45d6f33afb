"""Intervals of specifications: their draws against correlations of repeated pairs, and widths."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy.stats import pearsonr, spearmanr

from fragility.protocols import Curve, Specification, Stored, curve, with_intervals
from fragility.protocols import _intervals as intervals
from fragility.protocols._rules import Repeats, Rule, chosen_removals, evaluate
from tests.protocols.test_protocols import POINTS, TESTS, stored

REPEATS = [stored(seed) for seed in range(3)]
ARM = {"w": REPEATS}
SCIPYS = {"pearson": pearsonr, "spearman": spearmanr, "|spearman|": spearmanr}


def drawn(repeats: list[Stored]) -> intervals.Resamples:
    return intervals.Resamples(repeats, 12, seed=0)


def repeated(rule: Rule, x: np.ndarray, y: np.ndarray, counts: np.ndarray) -> float:
    """SciPy's correlation of pairs repeated so often."""
    often = counts.astype(int)
    value = SCIPYS[rule.measure](np.repeat(x, often), np.repeat(y, often)).statistic
    return abs(value) if rule.measure == "|spearman|" else value


def by_hand(rule: Rule, repeats: list[Stored], draws: intervals.Resamples, at: int) -> float:
    """The number of one draw, pair by pair."""
    of_repeats, of_tests, of_removals = draws.of_repeats, draws.of_tests, draws.of_removals
    assert of_tests is not None
    assert of_removals is not None
    if rule.aggregation == "of_means":
        share = of_repeats[at] / of_repeats[at].sum()
        means = {name: np.einsum("s,stn->tn", share, [getattr(r, name) for r in repeats])
                 for name in ("scores", "effects", "single")}  # fmt: skip
        mean = {name: np.mean([getattr(r, name) for r in repeats], axis=0)
                for name in ("scores", "effects", "single", "losses")}  # fmt: skip
        used = [(dataclasses.replace(repeats[0], **mean), means, 1.0)]
    else:
        used = [(one, {name: getattr(one, name) for name in ("scores", "effects", "single")}, often)
                for one, often in zip(repeats, of_repeats[at], strict=True)]  # fmt: skip
    total = weight = 0.0
    for one, values, often in used:
        columns = chosen_removals(rule.removals, one, rule.count)
        y = values["effects" if rule.truth == "mean" else "single"]
        rows = [
            (values["scores"][t, columns[t]], y[t, columns[t]], of_removals[at, columns[t]])
            for t in range(TESTS)
        ]
        if rule.aggregation == "pooled":
            counts = [of_tests[at, t] * row[2] for t, row in enumerate(rows)]
            found = repeated(rule, *(np.concatenate([row[k] for row in rows]) for k in (0, 1)),
                             np.concatenate(counts))  # fmt: skip
        else:
            tests = {
                "all": range(TESTS),
                "max_loss": [int(np.argsort(one.losses, kind="stable")[-1])],
            }[rule.tests]
            each = [repeated(rule, *rows[t]) for t in tests]
            counts = [of_tests[at, t] if rule.tests == "all" else 1.0 for t in tests]
            found = float(np.average(each, weights=counts))
        total += often * found
        weight += often
    return total / weight


@pytest.mark.parametrize(
    "rule",
    [
        Rule("all", "all", "mean", "pearson", "per_test"),
        Rule("all", "top_size", "single", "spearman", "per_test", 15),
        Rule("max_loss", "band", "mean", "|spearman|", "per_test", 15),
        Rule("all", "random", "mean", "spearman", "pooled", 15),
        Rule("all", "top_score", "mean", "pearson", "pooled", 15),
        Rule("all", "all", "single", "spearman", "of_means"),
        Rule("max_loss", "top_size", "mean", "pearson", "of_means", 15),
    ],
)
def test_a_draw_is_the_number_of_pairs_repeated(rule: Rule) -> None:
    draws = drawn(REPEATS)
    values = draws.values(rule)
    for at in range(12):
        assert values[at] == pytest.approx(by_hand(rule, REPEATS, draws, at), abs=1e-9)


def curve_of(arm: dict[str, list[Stored]]) -> Curve:
    found = curve(arm)
    return dataclasses.replace(found, specifications=with_intervals(
        found.specifications, arm, seed=1
    ))  # fmt: skip


def test_every_specification_has_an_interval_that_holds_its_number() -> None:
    found = curve_of(ARM)
    assert len(found.specifications) > 100
    for one in found.specifications:
        assert one.number.low is not None
        assert one.number.high is not None
        assert -1 <= one.number.low <= one.number.value <= one.number.high <= 1
    assert found == curve_of(ARM)


def one_number(repeats: list[Stored], rule: Rule) -> Specification:
    specification = Specification(rule, "w", evaluate(rule, Repeats(repeats)))
    (found,) = with_intervals([specification], {"w": repeats}, seed=0)
    return found


def test_the_interval_of_one_correlation_is_as_wide_as_theory_says() -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((1, 300))
    y = x + rng.standard_normal((1, 300))
    one = stored(tests=np.arange(1), removed=np.arange(300), scores=x, effects=y, single=y,
                 losses=np.zeros(1))  # fmt: skip
    found = one_number([one], Rule("all", "all", "mean", "pearson", "per_test")).number
    assert found.low is not None
    assert found.high is not None
    width = 2 * 1.96 * (1 - found.value**2) / np.sqrt(300)
    assert found.high - found.low == pytest.approx(width, rel=0.2)


def test_points_of_one_probability_are_drawn_within_their_stratum() -> None:
    weights = np.repeat([1.0, 4.0], [20, POINTS - 20])
    draws = drawn([stored(weights=weights)])
    assert draws.of_removals is not None
    assert (draws.of_removals[:, :20].sum(axis=1) == 20).all()
    assert (draws.of_removals[:, 20:].sum(axis=1) == POINTS - 20).all()
    assert draws.of_removals.var(axis=1).min() > 0
    own = drawn([stored(weights=np.arange(1.0, POINTS + 1))])
    assert own.of_removals is not None
    assert (own.of_removals.sum(axis=1) == POINTS).all()
    assert own.of_removals.max() > 1


def test_points_of_their_own_come_and_go_with_their_repeat() -> None:
    draws = drawn([stored(0), stored(1, removed=np.arange(POINTS) + 3)])
    assert draws.of_removals is None
    assert draws.of_tests is not None
    values = draws.values(Rule("max_loss", "all", "mean", "pearson", "per_test"))
    assert len(np.unique(values.round(12))) <= 3


def test_what_would_take_long_has_no_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intervals, "MOST_PRODUCTS", 1000)
    assert {one.number.low for one in curve_of(ARM).specifications} == {None}
