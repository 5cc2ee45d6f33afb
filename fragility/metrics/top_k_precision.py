"""Share of the largest effects that are among the largest scores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from pydantic import PositiveInt

from fragility.metrics._ranks import ROUNDING, Positions, Ties, columns_of, running_sum, ties
from fragility.metrics.base import Array, Metric, Statistic, constant


class TopKPrecision(Metric):
    """Share of the `k` largest effects that are among the `k` largest scores, both by size, 0 to 1.

    What finding the most influential examples needs. Sizes are without sign: harmful examples count
    as helpful ones do. Of equal sizes at the edge each is in by the share that has room. Under
    weights the largest are k/n of the weight.

    Valid when: there are more than k examples, at least k of them with an effect that is not 0.
    Cost: a few k additions a draw, after two sorts.
    Reference: precision at k.
    """

    kind: Literal["top_k_precision"] = "top_k_precision"
    k: PositiveInt = 10
    """How many are the largest; unrelated lists of n share k/n of them."""

    def degenerate(self, scores: Array, effects: Array) -> str | None:
        """Return the reason when the k largest are all, or effects are 0 among them."""
        if len(effects) <= self.k:
            return f"the {self.k} largest of {len(effects)} are all; give a smaller k"
        left = int(np.count_nonzero(effects))
        if left < self.k:
            return f"{left} of {len(effects)} effects are not 0; at least k = {self.k} are needed"
        return constant("score sizes", np.abs(scores))

    def statistic(self, scores: Array, effects: Array) -> Statistic:
        """Return the share as a function of the weights."""
        sizes = -np.abs(scores), -np.abs(effects)
        x, y, both = ties(sizes[0]), ties(sizes[1]), ties(*sizes)
        share = min(1.0, self.k / len(scores))

        def precision(weights: Array) -> Array:
            columns = columns_of(weights)
            room = share * columns.sum(axis=0)
            top_x, top_y = _top(x, columns, room), _top(y, columns, room)
            shared, at_x, at_y = np.intersect1d(top_x.pairs, top_y.pairs, return_indices=True)
            in_x, in_y = top_x.inside[at_x], top_y.inside[at_y]
            # At both edges repeats of one pair stay together; other ties are broken independently.
            most = np.maximum(top_x.tied[at_x], top_y.tied[at_y])
            alone = both.weights(columns).take(both.group[shared], axis=0) >= most * (1 - ROUNDING)
            inside = np.where(alone, np.minimum(in_x, in_y), in_x * in_y)
            with np.errstate(invalid="ignore"):
                found = np.einsum("nd,nd->d", columns[shared], inside) / room
            precisions: Array = np.clip(found, 0.0, 1.0)
            return precisions

        return precision

    def chance(
        self, n: int, scores: Array | None = None, effects: Array | None = None
    ) -> float | None:
        """Return k/n."""
        return min(1.0, self.k / n)


@dataclass(frozen=True)
class Top:
    """The `pairs` (m,) in the top of some draw: the share that is `inside`, the weight `tied`."""

    pairs: Positions
    inside: Array
    tied: Array


def _top(groups: Ties, columns: Array, room: Array) -> Top:
    """Return the pairs that fill `room` (draws,), groups of equal size in order.

    No more groups are looked at than the draws need.
    """
    last = len(groups.starts)
    count = min(last, 32)
    while True:
        end = int(groups.starts[count]) if count < last else len(groups.order)
        pairs = groups.order[:end]
        weights = np.add.reduceat(columns.take(pairs, axis=0), groups.starts[:count], axis=0)
        until = running_sum(weights.copy())
        if count == last or (until[-1] >= room).all():
            break
        count = min(last, 2 * count)
    with np.errstate(invalid="ignore", divide="ignore"):
        inside = np.where(weights > 0, (room - (until - weights)) / weights, 0.0)
    of_pairs = groups.group[pairs]
    return Top(
        pairs, np.clip(inside, 0.0, 1.0).take(of_pairs, axis=0), weights.take(of_pairs, axis=0)
    )
