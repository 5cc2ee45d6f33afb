"""The rules that protocols are made of: which pairs count, and how they become one number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from fragility.identity import derive_seed
from fragility.protocols._stored import Array, Positions, Stored, mean_of
from fragility.statistics.correlations import CORRELATIONS, Kind

Tests = Literal["all", "max_loss", "median_loss", "random"]
Removals = Literal["all", "top_size", "top_score", "band", "random", "top_loss"]
Truth = Literal["mean", "single"]
Measure = Literal["pearson", "spearman", "|spearman|"]
Aggregation = Literal["per_test", "pooled", "of_means"]

PERCENTILE = 30
"""The percentile of |score| that the band lies around (Basu et al. 2021)."""

DIMENSIONS = ("tests", "removals", "truth", "measure", "aggregation")

FEWEST = 4
"""Fewer pairs than this have no correlation: any order of three is too easily had by chance."""


@dataclass(frozen=True)
class Rule:
    """Everything that is decided between stored scores and effects and one number.

    `count` is how many removals are kept, None for all; `weighted` lets removals count by the
    inverse of the probability with which they were drawn.
    """

    tests: Tests
    removals: Removals
    truth: Truth
    measure: Measure
    aggregation: Aggregation
    count: int | None = None
    weighted: bool = False


@dataclass(frozen=True)
class Number:
    """A correlation over `n` pairs each, of `tests` test points, over `repeats`; NaN: undefined.

    `low` and `high` are its 95 % interval where one was worked out.
    """

    value: float
    n: int
    tests: int
    repeats: int
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Specification:
    """One way to make a number of stored scores and effects: a rule over one procedure's truth.

    `mismatch` says how that truth moves other parameters than the score covers, if it does.
    """

    rule: Rule
    procedure: str
    number: Number
    mismatch: str = ""

    @property
    def choices(self) -> tuple[str, ...]:
        """The choice in each of `DIMENSIONS`; the truth is a procedure and `mean` or `single`."""
        truth = f"{self.procedure}\n{self.rule.truth}"
        rule = self.rule
        return rule.tests, rule.removals, truth, rule.measure, rule.aggregation


def chosen_tests(rule: Tests, losses: Array) -> Positions:
    """Returns the test points of a rule: all, that of the largest or of the median loss, any one.

    Of an even number the lower of the two middle losses is the median.
    """
    order = np.argsort(losses, kind="stable")
    if rule == "max_loss":
        return order[-1:]
    if rule == "median_loss":
        return order[(order.size - 1) // 2 :][:1]
    if rule == "random":
        seed = derive_seed(0, "protocol's random test point", order.size)
        return np.random.default_rng(seed).integers(order.size, size=1)
    return np.arange(order.size)


def chosen_removals(rule: Removals, stored: Stored, count: int | None) -> Positions:
    """Returns `count` removals for each test point (tests, count); all of them without a count.

    Rules that go by scores go by the scores of each test point, largest first; `band` takes those
    nearest in rank of |score| to the 30th percentile; `random` is one draw for all test points.
    """
    tests, n = stored.scores.shape
    if rule == "all" or count is None or count >= n:
        return np.broadcast_to(np.arange(n), (tests, n))
    if rule == "random":
        seed = derive_seed(0, "protocol's random removals", n, count)
        drawn = np.random.default_rng(seed).choice(n, size=count, replace=False)
        return np.broadcast_to(drawn, (tests, count))
    return np.argsort(_keys(rule, stored), axis=1, kind="stable")[:, :count]


def _keys(rule: Removals, stored: Stored) -> Array:
    """Returns what removals are ordered by (tests, removals), the first to be taken lowest."""
    if rule == "top_score":
        return -stored.scores
    if rule == "top_loss" and stored.train_losses is not None:
        return np.broadcast_to(-stored.train_losses, stored.scores.shape)
    size = np.abs(stored.scores)
    if rule != "band":
        return -size
    ranks = np.argsort(np.argsort(size, axis=1, kind="stable"), axis=1, kind="stable")
    return np.asarray(np.abs(ranks - PERCENTILE / 100 * (size.shape[1] - 1)))


class Repeat:
    """One repeat, with the correlations of its test points, each computed once."""

    def __init__(self, stored: Stored) -> None:
        self.stored = stored
        self._known: dict[tuple[object, ...], tuple[Array, int]] = {}

    def correlations(self, rule: Rule) -> tuple[Array, int]:
        """Returns the correlation of each test point (tests,), or of all pooled (1,), and its n."""
        kind: Kind = "pearson" if rule.measure == "pearson" else "spearman"
        pooled = rule.aggregation == "pooled"
        key = (rule.removals, rule.count, rule.truth, rule.weighted, kind, pooled)
        if key not in self._known:
            self._known[key] = self._correlate(rule, kind, pooled)
        values, n = self._known[key]
        return (np.abs(values) if rule.measure == "|spearman|" else values), n

    def _correlate(self, rule: Rule, kind: Kind, pooled: bool) -> tuple[Array, int]:
        stored = self.stored
        columns = chosen_removals(rule.removals, stored, rule.count)
        truth = stored.effects if rule.truth == "mean" else stored.single
        weights = np.ones(columns.shape)
        if rule.weighted and stored.weights is not None:
            weights = stored.weights[columns]
        scores, effects = (np.take_along_axis(side, columns, 1) for side in (stored.scores, truth))
        sides = [
            side.reshape(1 if pooled else len(side), -1) for side in (scores, effects, weights)
        ]
        n = sides[0].shape[1]
        if n < FEWEST:
            return np.full(len(sides[0]), np.nan), n
        return CORRELATIONS[kind](*sides), n


class Repeats:
    """The repeats of an arm and one procedure, and their mean at the pairs that all hold."""

    def __init__(self, repeats: Sequence[Stored]) -> None:
        self.every = [Repeat(stored) for stored in repeats]

    @cached_property
    def mean(self) -> list[Repeat]:
        """Scores and effects averaged over repeats; nothing where no pair is shared."""
        found = mean_of([one.stored for one in self.every])
        return [] if found is None else [Repeat(found)]


def evaluate(rule: Rule, repeats: Repeats) -> Number:
    """Returns the number that a rule makes of the repeats of an arm.

    `per_test` averages the correlations of test points, then of repeats; `pooled` correlates all
    pairs of a repeat at once, whatever their test points; `of_means` averages scores and effects
    over repeats before they are correlated for each test point. What is undefined is left out of an
    average.
    """
    of_means = rule.aggregation == "of_means"
    found = [_of_repeat(rule, one) for one in (repeats.mean if of_means else repeats.every)]
    values = [value for value, _, _ in found if np.isfinite(value)]
    return Number(
        float(np.mean(values)) if values else np.nan,
        min((n for _, n, _ in found), default=0),
        min((tests for _, _, tests in found), default=0),
        len(repeats.every) if of_means else len(values),
    )


def _of_repeat(rule: Rule, one: Repeat) -> tuple[float, int, int]:
    """Returns the value, the pairs of each correlation, and the test points of one repeat."""
    values, n = one.correlations(rule)
    tests = chosen_tests(rule.tests, one.stored.losses)
    if rule.aggregation != "pooled":
        values = values[tests]
    values = values[np.isfinite(values)]
    return (float(values.mean()) if values.size else np.nan), n, len(tests)
