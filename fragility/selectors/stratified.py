"""Points drawn from strata, each with a probability that is known."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field, field_validator, model_validator

from fragility.errors import MethodFailure, UsageError
from fragility.identity import derive_seed
from fragility.method import JSON
from fragility.selectors._by_score import mean_size
from fragility.selectors.base import Array, Candidates, Choice, ModelSelector, Points


class Stratified(ModelSelector):
    """Points drawn at random from strata by |score|, loss or class, with known probabilities.

    With `allocation: even` every stratum gives as many points, so that a small stratum of extreme
    scores or a rare class is not missed; `proportional` gives each its share, one at least. A point
    of a stratum of N that gives k is drawn with probability k/N. Agreement is then also estimated
    for the population, every point weighing 1 over its probability (`weighting: population`).

    Scores are averaged in size over the chosen test points. A larger `count` keeps the points drawn
    before. Draws from equal strata depend on the study's seed alone.

    Valid when: always; an unbiased choice that looks at the tails too. Every stratum needs a point.
    Cost: one retraining for every training point drawn.
    Reference: W. G. Cochran, Sampling Techniques (1977), chapter 5; shares as E. V. Huntington,
    Trans. Am. Math. Soc. 30 (1928) 85-110, apportions seats.
    """

    way: ClassVar = "drawn"
    kind: Literal["stratified"] = "stratified"
    by: Literal["score", "loss", "class"] = "score"
    """What strata are made of: quantiles of the mean |score|, quantiles of the loss, or classes."""
    estimator: str | None = None
    """Label of the estimator in this study whose scores are used; with `by: score` only."""
    quantiles: Annotated[tuple[Annotated[float, Field(gt=0, lt=1)], ...], Field(min_length=1)] = (
        0.5,
        0.9,
    )
    """Where strata of scores or losses are cut: by default the lower half, the next 40 % and the
    top 10 %."""
    allocation: Literal["even", "proportional"] = "even"
    """Whether strata give as many points each, or in proportion to their size."""

    @field_validator("quantiles")
    @classmethod
    def _rise(cls, quantiles: tuple[float, ...]) -> tuple[float, ...]:
        if any(high <= low for low, high in pairwise(quantiles)):
            raise ValueError("quantiles must rise")
        return quantiles

    @model_validator(mode="after")
    def _makes_sense(self) -> Stratified:
        if (self.by == "score") != (self.estimator is not None):
            raise ValueError("`by: score` needs an `estimator`, and nothing else does")
        if self.by == "class" and "quantiles" in self.model_fields_set:
            raise ValueError("`by: class` has no `quantiles`; drop the key")
        return self

    @property
    def needs_scores_of(self) -> tuple[str, ...]:
        """The label, when strata are made of scores."""
        return () if self.estimator is None else (self.estimator,)

    def refusal(self, task: str) -> str | None:
        """Returns why there are no classes in a regression."""
        if self.by != "class" or task == "classification":
            return None
        return "`by: class` needs classes, and this dataset has numbers. Use `by: loss`."

    def slots(self, size: int) -> list[JSON]:
        """Returns the rule and the place in the order of drawing."""
        slots = super().slots(size)
        if self.by != "class":
            sizes = np.diff(self._cuts(size))
            if sizes.min() < 1:
                raise UsageError(f"`quantiles` leave a stratum empty, of {size} points.")
            if self.count < len(sizes):
                raise UsageError(_too_few(self.count, len(sizes)))
        return slots

    def choose(self, candidates: Candidates) -> Choice:
        """Returns the points in the order of drawing, chosen by score or loss if not by class."""
        values = self._values(candidates)
        strata = self._classes(candidates) if values is None else self._levels(values)
        sizes = np.bincount(strata)
        even = self.allocation == "even"
        shares = np.ones(len(sizes)) if even else sizes.astype(np.float64)
        turns = _turns(sizes, shares, self.count)
        drawn = np.empty(self.count, dtype=np.int64)
        for stratum in range(len(sizes)):
            seed = derive_seed(candidates.seed, "stratum", stratum)
            (members,) = np.nonzero(strata == stratum)
            order = np.random.default_rng(seed).permutation(members)
            mine = turns == stratum
            drawn[mine] = order[: np.count_nonzero(mine)]
        probabilities = (np.bincount(turns, minlength=len(sizes)) / sizes)[strata[drawn]]
        return self.chosen(drawn, None if values is None else values[drawn], probabilities)

    def _values(self, candidates: Candidates) -> Array | None:
        if self.by == "class":
            return None
        if self.estimator is None:
            return candidates.losses.astype(np.float64)
        return mean_size(candidates.scores[self.estimator].astype(np.float64))

    def _cuts(self, size: int) -> Points:
        return np.round(np.array([0.0, *self.quantiles, 1.0]) * size).astype(np.int64)

    def _levels(self, values: Array) -> Points:
        ranks = np.empty(len(values), dtype=np.int64)
        ranks[np.argsort(values, kind="stable")] = np.arange(len(values))
        strata: Points = np.searchsorted(self._cuts(len(values)), ranks, side="right") - 1
        return strata

    def _classes(self, candidates: Candidates) -> Points:
        classes, strata = np.unique(candidates.targets, return_inverse=True)
        if self.count < len(classes):
            raise MethodFailure(_too_few(self.count, len(classes)), "Give a larger `count`.")
        return np.asarray(strata, dtype=np.int64)


def _too_few(count: int, strata: int) -> str:
    return f"`stratified` draws a point from every stratum: {count} points are less than {strata}."


def _turns(sizes: Points, shares: Array, count: int) -> Points:
    """Returns from which stratum each of `count` points is drawn.

    Each stratum gives one, then that with the highest share / sqrt(k (k + 1)), k being what it gave
    so far, while it has any: an apportionment that never takes a point back as `count` grows.
    """
    strata = np.repeat(np.arange(len(sizes)), sizes)
    given = np.concatenate([np.arange(size, dtype=np.float64) for size in sizes])
    with np.errstate(divide="ignore"):
        claims = shares[strata] / np.sqrt(given * (given + 1))
    turns: Points = strata[np.argsort(-claims, kind="stable")[:count]]
    return turns
