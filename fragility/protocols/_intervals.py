"""Intervals of specifications: repeats, test points and removals drawn again, on stored rows.

What a rule has chosen stays chosen: a resample weighs those pairs anew and takes no others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property, reduce

import numpy as np

from fragility.identity import derive_seed
from fragility.protocols._rules import (
    FEWEST,
    Rule,
    Specification,
    chosen_removals,
    chosen_tests,
)
from fragility.protocols._specification import KEPT, REMOVALS
from fragility.protocols._stored import Array, Positions, Stored
from fragility.statistics.correlations import CORRELATIONS, Kind
from fragility.statistics.fixed_correlations import FIXED
from fragility.statistics.resampling import bootstrap_counts

DRAWS = 200
"""Resamples: the edges of a 95 % percentile interval are then the fifth from either end."""

CHUNK = 2**19
"""Draws x pairs held at once: 4 MB an array, of which a rank correlation has some twenty."""

MOST_PRODUCTS = 60_000_000
"""Draws x pairs spent on one arm: some seconds."""


class Resamples:
    """The repeats of an arm and one procedure, and weights of their units in every draw.

    Repeats are drawn where there are several. Test points and removals are drawn where all repeats
    have the same, or there is one repeat; else they come and go with their repeat. Removals that
    were drawn with few different probabilities are drawn within those of one probability.
    """

    def __init__(self, repeats: Sequence[Stored], draws: int, seed: int) -> None:
        self.repeats = repeats
        self.draws = draws
        self._seed = seed
        self._known: dict[tuple[object, ...], Array] = {}

    @cached_property
    def of_repeats(self) -> Array:
        """How often (draws, repeats) each repeat is drawn."""
        size = len(self.repeats)
        if size == 1:
            return np.ones((self.draws, 1))
        return bootstrap_counts(size, self.draws, derive_seed(self._seed, "repeats"))

    @cached_property
    def of_tests(self) -> Array | None:
        """How often (draws, tests) each test point is drawn; None: as often as its repeat."""
        if not _same([one.tests for one in self.repeats]):
            return None
        size = self.repeats[0].tests.size
        return bootstrap_counts(size, self.draws, derive_seed(self._seed, "tests"))

    @cached_property
    def of_removals(self) -> Array | None:
        """How often (draws, removals) each removal is drawn; None: as often as its repeat."""
        if not _same([one.removed for one in self.repeats]):
            return None
        first = self.repeats[0]
        seed = derive_seed(self._seed, "removals")
        found = np.zeros((self.draws, first.removed.size))
        for place, members in enumerate(_strata(first)):
            own = derive_seed(seed, "stratum", place)
            found[:, members] = bootstrap_counts(members.size, self.draws, own)
        return found

    def values(self, rule: Rule) -> Array:
        """Returns the number a rule makes of every draw (draws,), NaN where it makes none."""
        if rule.aggregation == "of_means":
            return self._of_means(rule)
        found = np.stack([self._of_repeat(rule, one) for one in self.repeats], axis=1)
        return _average(found, self.of_repeats)

    def _of_repeat(self, rule: Rule, one: Stored) -> Array:
        each = self._correlations(rule, one)
        if rule.measure == "|spearman|":
            each = np.abs(each)
        if rule.aggregation == "pooled":
            return each[:, 0]
        tests = chosen_tests(rule.tests, one.losses)
        counts = np.ones((self.draws, each.shape[1])) if self.of_tests is None else self.of_tests
        counts = counts[:, tests] if rule.tests == "all" else np.ones((self.draws, tests.size))
        return _average(each[:, tests], counts)

    def _correlations(self, rule: Rule, one: Stored) -> Array:
        """Returns correlations (draws, tests) of each test point, or of all pooled (draws, 1)."""
        kind: Kind = "pearson" if rule.measure == "pearson" else "spearman"
        pooled = rule.aggregation == "pooled"
        key = (id(one), rule.removals, rule.count, rule.truth, rule.weighted, kind, pooled)
        if key not in self._known:
            columns = chosen_removals(rule.removals, one, rule.count)
            sides = one.scores, one.effects if rule.truth == "mean" else one.single
            x, y = (np.take_along_axis(side, columns, 1) for side in sides)
            if pooled:
                x, y = x.reshape(1, -1), y.reshape(1, -1)
            if x.shape[1] < FEWEST:
                self._known[key] = np.full((self.draws, len(x)), np.nan)
                return self._known[key]
            of_weights = FIXED[kind](x, y)
            # Where all test points have the same removals, so have they their weights.
            shared = not pooled and rule.removals in ("all", "random")
            parts = []
            for part in _slices(self.draws, columns.size):
                weights = self._weights(rule, one, columns[:1] if shared else columns, part, pooled)
                parts.append(of_weights(weights[:, 0] if shared else _flat(weights, pooled)))
            self._known[key] = np.concatenate(parts)
        return self._known[key]

    def _weights(
        self, rule: Rule, one: Stored, columns: Positions, part: slice, pooled: bool
    ) -> Array:
        """Returns weights (some draws, tests, chosen removals) of the chosen pairs."""
        draws = len(range(*part.indices(self.draws)))
        weights = np.ones((draws, *columns.shape))
        if self.of_removals is not None:
            weights *= self.of_removals[part][:, columns]
        if rule.weighted and one.weights is not None:
            weights *= one.weights[columns]
        if pooled and self.of_tests is not None:
            weights *= self.of_tests[part][:, :, None]
        return weights

    @cached_property
    def _means(self) -> tuple[Sequence[Stored], Resamples] | None:
        """The repeats at what all of them hold, and resamples of their mean."""
        aligned = _aligned(self.repeats)
        if aligned is None:
            return None
        mean = replace(
            aligned[0],
            scores=np.mean([one.scores for one in aligned], axis=0),
            effects=np.mean([one.effects for one in aligned], axis=0),
            single=np.mean([one.single for one in aligned], axis=0),
            losses=np.mean([one.losses for one in aligned], axis=0),
        )
        return aligned, Resamples([mean], self.draws, self._seed)

    def _of_means(self, rule: Rule) -> Array:
        """Returns the numbers of means over the repeats of each draw, at what all of them hold."""
        if self._means is None:
            return np.full(self.draws, np.nan)
        aligned, own = self._means
        mean = own.repeats[0]
        each = self._of_drawn_means(rule, aligned, own)
        each = np.abs(each) if rule.measure == "|spearman|" else each
        tests = chosen_tests(rule.tests, mean.losses)
        counts = np.ones((self.draws, tests.size))
        if rule.tests == "all" and own.of_tests is not None:
            counts = own.of_tests
        return _average(each[:, tests], counts)

    def _of_drawn_means(self, rule: Rule, aligned: Sequence[Stored], own: Resamples) -> Array:
        """Returns the correlations (draws, tests) of means over the repeats of each draw."""
        kind: Kind = "pearson" if rule.measure == "pearson" else "spearman"
        key = ("means", rule.removals, rule.count, rule.truth, rule.weighted, kind)
        if key in self._known:
            return self._known[key]
        mean = own.repeats[0]
        columns = chosen_removals(rule.removals, mean, rule.count)
        if columns.shape[1] < FEWEST:
            return np.full((self.draws, len(columns)), np.nan)
        truth = "effects" if rule.truth == "mean" else "single"
        scores, effects = (
            np.stack([np.take_along_axis(getattr(one, name), columns, 1) for one in aligned])
            for name in ("scores", truth)
        )
        shares = self.of_repeats / self.of_repeats.sum(axis=1, keepdims=True)
        self._known[key] = np.concatenate(
            [
                CORRELATIONS[kind](
                    _weighted(shares[part], scores),
                    _weighted(shares[part], effects),
                    own._weights(rule, mean, columns, part, pooled=False),
                )
                for part in _slices(self.draws, columns.size)
            ]
        )
        return self._known[key]


def with_intervals(
    specifications: Sequence[Specification], arm: Mapping[str, Sequence[Stored]], *, seed: int
) -> tuple[Specification, ...]:
    """Returns the specifications with 95 % percentile intervals, as they are where these cost much.

    Repeats, test points and removals are resampled at once, which counts what they have in common
    repeatedly: the intervals are, if anything, too wide, but for few repeats. None where fewer than
    half of the draws have a value.
    """
    procedures = {one.procedure for one in specifications}
    pairs = sum(_pairs(arm[name]) for name in procedures)
    if pairs * DRAWS > MOST_PRODUCTS:
        return tuple(specifications)
    drawn = {name: Resamples(arm[name], DRAWS, seed) for name in sorted(procedures)}
    return tuple(_with_interval(one, drawn[one.procedure]) for one in specifications)


def _with_interval(one: Specification, resamples: Resamples) -> Specification:
    values = resamples.values(one.rule)
    known = values[np.isfinite(values)]
    if 2 * known.size < values.size:
        return one
    low, high = np.quantile(known, [0.025, 0.975])
    # A percentile interval of a biased statistic may miss the very number it belongs to.
    ends = min(float(low), one.number.value), max(float(high), one.number.value)
    return replace(one, number=replace(one.number, low=ends[0], high=ends[1]))


def _weighted(shares: Array, values: Array) -> Array:
    """Returns means (draws, tests, removals) of `values` (repeats, tests, removals)."""
    return np.asarray(np.einsum("ds,stn->dtn", shares, values, optimize=True))


def _flat(weights: Array, pooled: bool) -> Array:
    """Returns weights (draws, tests, removals), of all pairs in one row where they are pooled."""
    return weights.reshape(len(weights), 1, -1) if pooled else weights


def _average(values: Array, counts: Array) -> Array:
    """Returns weighted means over the last axis of what has a value."""
    used = counts * np.isfinite(values)
    with np.errstate(invalid="ignore", divide="ignore"):
        total = np.sum(used * np.where(np.isfinite(values), values, 0.0), axis=-1)
        return np.asarray(total / used.sum(axis=-1))


def _slices(draws: int, pairs: int) -> list[slice]:
    step = max(1, CHUNK // max(1, pairs))
    return [slice(at, min(at + step, draws)) for at in range(0, draws, step)]


def _same(positions: Sequence[Positions]) -> bool:
    return all(np.array_equal(positions[0], other) for other in positions[1:])


def _strata(stored: Stored) -> list[Positions]:
    """Returns the removals of each probability, all together where strata would be too small."""
    everything = [np.arange(stored.removed.size)]
    if stored.weights is None:
        return everything
    _, members = np.unique(stored.weights, return_inverse=True)
    strata = [np.flatnonzero(members == place) for place in range(members.max() + 1)]
    return strata if min(one.size for one in strata) > 1 else everything


def _aligned(repeats: Sequence[Stored]) -> list[Stored] | None:
    """Returns the repeats at the pairs that all of them hold; None when there are none."""
    tests = reduce(np.intersect1d, [one.tests for one in repeats])
    removed = reduce(np.intersect1d, [one.removed for one in repeats])
    if not tests.size or not removed.size:
        return None
    found = []
    for one in repeats:
        rows = np.searchsorted(one.tests, tests)
        columns = np.searchsorted(one.removed, removed)
        at = rows[:, None], columns
        found.append(
            replace(
                one,
                tests=tests,
                removed=removed,
                scores=one.scores[at],
                effects=one.effects[at],
                single=one.single[at],
                losses=one.losses[rows],
                train_losses=None if one.train_losses is None else one.train_losses[columns],
                weights=None if one.weights is None else one.weights[columns],
            )
        )
    return found


def _pairs(repeats: Sequence[Stored]) -> int:
    """Returns how many pairs all specifications of a procedure correlate in one draw, about."""
    truths = 2 if min(one.replicates for one in repeats) > 1 else 1
    kinds, selecting = 2, len(REMOVALS) - 1
    size = 0
    for one in repeats:
        tests, removed = one.scores.shape
        size += tests * (removed + selecting * min(KEPT, removed // 2))
    return kinds * truths * size
