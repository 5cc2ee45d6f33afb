"""What a metric is: one number that says how well scores predict effects, for weighted pairs."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from fragility.method import Method, Room
from fragility.metrics.reliability import Reliability

Array = NDArray[np.float64]
Statistic = Callable[[Array], Array]
"""Nonnegative weights (draws, n) of the pairs in, one value a draw (draws,) out; NaN: undefined."""


class Metric(Method):
    """A comparison of scores with effects in which every pair carries a weight.

    A bootstrap draw is a row of counts, so that resampling and weighting are the same code: integer
    weights give the metric of the sample in which each pair is repeated that often.
    """

    fewest_pairs: ClassVar[int] = 4
    """Fewer pairs than this have no value: any order of three is too easily had by chance."""

    by_default: ClassVar[bool] = True
    """Whether a study that names no metrics has this one."""

    @property
    def label(self) -> str:
        """The word by which tables know the metric; a study holds a label once."""
        return self.kind

    @abstractmethod
    def statistic(self, scores: Array, effects: Array) -> Statistic:
        """Return the metric of `scores` (n,) and `effects` (n,) as a function of the weights.

        What does not depend on the weights (sorting, scaling) is done once, here. Memory of a call:
        a few arrays as large as its weights.
        """

    def undefined(self, scores: Array, effects: Array) -> str | None:
        """Return why the metric of these pairs has no value, or None when it has one."""
        return (
            too_few(scores, self.fewest_pairs)
            or not_finite("scores", scores)
            or not_finite("effects", effects)
            or self.degenerate(scores, effects)
        )

    def degenerate(self, scores: Array, effects: Array) -> str | None:
        """Return why enough finite pairs have no value: by default, a side is constant."""
        return constant("scores", scores) or constant("effects", effects)

    def ceiling(self, noise: Reliability) -> float | None:
        """Return what a perfect estimator would reach with effects of this reliability.

        None where it is not known, or where noise in the effects does not bound the metric.
        """
        return None

    def chance(
        self, n: int, scores: Array | None = None, effects: Array | None = None
    ) -> float | None:
        """Return what `n` unrelated pairs give on average: equal weights, all pairings alike.

        `scores` (n,) and `effects` (n,), where given, are the lists that are paired at random. None
        where the average is not known, or not without them.
        """
        return None

    def values(self, scores: Array, effects: Array, weights: Array) -> Array:
        """Return the metric of each draw (draws,) for `weights` (draws, n), NaN where undefined."""
        return self.statistic(scores, effects)(weights)


METRICS: Room[Metric] = Room("metrics", Metric, "fragility.metrics")


def too_few(pairs: Array, fewest: int) -> str | None:
    """Return the reason when there are fewer than `fewest` pairs."""
    if len(pairs) >= fewest:
        return None
    return f"{len(pairs)} point{'' if len(pairs) == 1 else 's'}; at least {fewest} are needed"


def not_finite(name: str, values: Array) -> str | None:
    """Return the reason when some values are NaN or infinite."""
    bad = int(np.count_nonzero(~np.isfinite(values)))
    return f"{bad} of {len(values)} {name} are not finite" if bad else None


def constant(name: str, values: Array) -> str | None:
    """Return the reason when all values are equal."""
    return f"all {len(values)} {name} are equal" if values.max() == values.min() else None


def finite(values: Array) -> Array:
    """Return `values` with NaN in place of infinities: out of range is undefined too."""
    return np.where(np.isfinite(values), values, np.nan)
