"""Cosine of the angle between scores and effects."""

from __future__ import annotations

from typing import Literal

import numpy as np

from fragility.metrics.base import Array, Metric, Statistic, finite


class Cosine(Metric):
    """Cosine of the angle between scores and effects, -1 to 1: Pearson without centring.

    Blind to scale but not to offset. Where all effects and all scores have one sign it is near 1
    for unrelated lists: read it beside its `chance`.

    Valid when: neither scores nor effects are all 0.
    Cost: a product of the draws' weights with three columns.
    Reference: cosine similarity, as of gradients in Charpiat et al. 2019.
    """

    kind: Literal["cosine"] = "cosine"

    def degenerate(self, scores: Array, effects: Array) -> str | None:
        """Return the reason when all scores or all effects are 0."""
        return _zero("scores", scores) or _zero("effects", effects)

    def statistic(self, scores: Array, effects: Array) -> Statistic:
        """Return the cosine as a function of the weights."""
        x, y = _within_one(scores), _within_one(effects)
        columns = np.stack([x * y, x * x, y * y], axis=1)

        def cosine(weights: Array) -> Array:
            product, square_x, square_y = (weights @ columns).T
            with np.errstate(all="ignore"):
                size = np.sqrt(square_x) * np.sqrt(square_y)
                return np.clip(finite(product / size), -1.0, 1.0)

        return cosine

    def chance(
        self, n: int, scores: Array | None = None, effects: Array | None = None
    ) -> float | None:
        """Return the mean over all pairings: what the means of both lists give; needs the lists."""
        if scores is None or effects is None:
            return None
        x, y = _within_one(scores), _within_one(effects)
        return float(x.mean() * y.mean() / np.sqrt((x * x).mean()) / np.sqrt((y * y).mean()))


def _within_one(values: Array) -> Array:
    """Return `values` times a power of two, the largest of them between 1/2 and 1 in size."""
    return np.ldexp(values, -int(np.frexp(np.abs(values).max())[1]))


def _zero(name: str, values: Array) -> str | None:
    return None if values.any() else f"all {len(values)} {name} are 0"
