"""Scores and effects as arrays: removals by test points, for every cell."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fragility.report.source import Columns, Source
from fragility.store import truth_queries as ask

Values = NDArray[np.float64]
Positions = NDArray[np.int64]


@dataclass(frozen=True)
class Grid:
    """Values (replicates, tests, removals), NaN where one is missing.

    `tests` and `removed` are the ascending positions that the last two axes stand for; `removed`
    counts training points, or groups of them where `group` says so.
    """

    tests: Positions
    removed: Positions
    values: Values
    group: bool

    def at(self, tests: Positions, removed: Positions) -> Values:
        """Returns the values at some of the grid's positions."""
        rows, columns = np.searchsorted(self.tests, tests), np.searchsorted(self.removed, removed)
        return self.values[:, rows[:, None], columns]


@dataclass(frozen=True)
class Grids:
    """Effects by cell and procedure; scores by cell, estimator and whether groups are removed."""

    effects: Mapping[tuple[str, str], Grid]
    scores: Mapping[tuple[str, str, bool], Grid]


def load(source: Source) -> Grids:
    """Returns all scores and effects of the run."""
    effects = source.columns(ask.REMOVALS)
    scores = dict(source.columns(ask.PREDICTIONS))
    scores["replicate"] = np.zeros(len(scores["score"]), dtype=np.int64)
    return Grids(
        {
            (cell, procedure): grid
            for (cell, procedure, _), grid in _grids(effects, "procedure", "effect")
        },
        {
            (cell, estimator, grid.group): grid
            for (cell, estimator, _), grid in _grids(scores, "estimator", "score")
        },
    )


def shared(grids: Sequence[Grid]) -> tuple[Positions, Positions]:
    """Returns the test points, and the removals, at which every grid has finite values."""
    tests, removed = grids[0].tests, grids[0].removed
    for grid in grids[1:]:
        tests, removed = np.intersect1d(tests, grid.tests), np.intersect1d(removed, grid.removed)
    known = np.ones(removed.size, dtype=bool)
    for grid in grids:
        known &= np.isfinite(grid.at(tests, removed)).all(axis=(0, 1))
    return tests, removed[known]


def _grids(columns: Columns, label: str, value: str) -> Iterator[tuple[tuple[str, str, str], Grid]]:
    """Yields the grid of every run of rows with the same cell, label and kind of removal."""
    keys = [columns["cell_id"], columns[label], columns["removal"]]
    size = len(keys[0])
    if not size:
        return
    new = np.ones(size + 1, dtype=bool)
    new[1:-1] = np.logical_or.reduce([np.asarray(key[1:] != key[:-1]) for key in keys])
    for start, stop in pairwise(np.flatnonzero(new)):
        part = {name: column[start:stop] for name, column in columns.items()}
        cell, name, removal = (str(key[start]) for key in keys)
        yield (cell, name, removal), _grid(part, value, removal == "group")


def _grid(rows: Mapping[str, NDArray[Any]], value: str, group: bool) -> Grid:
    found = [
        np.unique(rows[name], return_inverse=True)
        for name in ("replicate", "test_point", "removed")
    ]
    values = np.full([len(places) for places, _ in found], np.nan)
    values[tuple(inverse for _, inverse in found)] = rows[value]
    return Grid(found[1][0].astype(np.int64), found[2][0].astype(np.int64), values, group)
