"""Scores of one estimator beside the effects of one procedure, for one base model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Positions = NDArray[np.int64]


@dataclass(frozen=True)
class Stored:
    """What protocols choose from; arrays are (tests, removals) where nothing else is said.

    `effects` are means over `replicates`, `single` is the first replicate alone. `losses` (tests,)
    are the test examples' measurable before any removal. `train_losses` (removals,) are what points
    were chosen by where that was their loss, else None. `weights` (removals,) are the inverse of
    the probability of being drawn, None where it is not known. A removal takes one training point
    away, or a group of them where `group` says so. `mismatch` says how the truth moves other
    parameters than the score covers, if it does.
    """

    truth: str
    tests: Positions
    removed: Positions
    scores: Array
    effects: Array
    single: Array
    losses: Array
    replicates: int = 1
    group: bool = False
    train_losses: Array | None = None
    weights: Array | None = None
    mismatch: str = ""


def mean_of(repeats: Sequence[Stored]) -> Stored | None:
    """Returns means over repeats at the pairs that all of them hold; None when there are none."""
    tests = reduce(np.intersect1d, [one.tests for one in repeats])
    removed = reduce(np.intersect1d, [one.removed for one in repeats])
    if not tests.size or not removed.size:
        return None
    rows = [np.searchsorted(one.tests, tests) for one in repeats]
    columns = [np.searchsorted(one.removed, removed) for one in repeats]
    places = list(zip(repeats, rows, columns, strict=True))

    def mean(name: str) -> Array:
        return np.asarray(np.mean([getattr(s, name)[r[:, None], c] for s, r, c in places], axis=0))

    def mean_known(name: str) -> Array | None:
        known = [getattr(s, name)[c] for s, _, c in places if getattr(s, name) is not None]
        return np.asarray(np.mean(known, axis=0)) if len(known) == len(places) else None

    return Stored(
        repeats[0].truth,
        tests,
        removed,
        mean("scores"),
        mean("effects"),
        mean("single"),
        np.asarray(np.mean([s.losses[r] for s, r, _ in places], axis=0)),
        min(one.replicates for one in repeats),
        repeats[0].group,
        mean_known("train_losses"),
        mean_known("weights"),
    )
