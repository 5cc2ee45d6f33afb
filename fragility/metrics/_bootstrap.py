"""Resamples of train points, and of test points, as counts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from fragility.identity import derive_seed
from fragility.metrics.base import Array

CHUNK = 2**20
"""Weights handed to a statistic at once: 8 MB; a statistic holds about ten times that."""

FEWEST_AT_ONCE = 4
"""Rank statistics move rows of draws: with fewer in a row than this they crawl."""

FEWEST_DRAWS = 200
MOST_WEIGHTS = 100_000_000
"""Draws x pairs for which a study waits seconds; beyond it draws are fewer, never below 200."""


@dataclass(frozen=True)
class Resamples:
    """Counts of each drawn train point (n, draws) and test point (n_test, draws).

    A train point's count may be multiplied by a weight of its own.
    """

    train: Array
    test: Array

    def weighted(self, weights: Array) -> Resamples:
        """Return the same draws with every train point's count times its weight (n,)."""
        return Resamples(self.train * weights[:, None], self.test)

    def of_train(self) -> Iterator[Array]:
        """Yield weights (some draws, n) of the pairs of one test point; all draws in order."""
        for part in _chunks(self.train.shape[1], len(self.train)):
            yield np.ascontiguousarray(self.train[:, part]).T

    def of_pairs(self) -> Iterator[Array]:
        """Yield weights (some draws, n_test * n) of all pairs, test points outermost."""
        pairs = len(self.test) * len(self.train)
        for part in _chunks(self.train.shape[1], pairs):
            both = self.test[:, None, part] * self.train[None, :, part]
            yield both.reshape(pairs, -1).T


def resamples(n_test: int, n: int, draws: int, seed: int) -> Resamples:
    """Return bootstrap counts; a single test point is not resampled: there is nothing to vary."""
    used = min(draws, max(FEWEST_DRAWS, MOST_WEIGHTS // max(1, n_test * n)))
    test = _counts(n_test, used, derive_seed(seed, "bootstrap test points"))
    return Resamples(
        train=_counts(n, used, derive_seed(seed, "bootstrap train points")),
        test=test if n_test > 1 else np.ones_like(test),
    )


def interval(values: Array, confidence: float) -> tuple[float, float] | tuple[None, None]:
    """Return the percentile interval of bootstrap `values`, of those that are defined.

    None, None when fewer than half of them are: the rest would be a selection.
    """
    defined = values[np.isfinite(values)]
    if len(defined) == 0 or 2 * len(defined) < len(values):
        return None, None
    low, high = np.quantile(defined, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def _counts(n: int, draws: int, seed: int) -> Array:
    drawn = np.random.default_rng(seed).integers(0, max(n, 1), size=(n, draws))
    places = drawn * draws + np.arange(draws)
    return np.bincount(places.ravel(), minlength=n * draws).reshape(n, draws).astype(np.float64)


def _chunks(draws: int, pairs: int) -> Iterator[slice]:
    step = max(FEWEST_AT_ONCE, CHUNK // max(1, pairs))
    for start in range(0, draws, step):
        yield slice(start, start + step)
