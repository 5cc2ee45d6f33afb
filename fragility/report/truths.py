"""How well procedures measured their effects: beside the placebo, and over replicates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from fragility.identity import derive_seed
from fragility.report.averages import Noise, Sample, Values, noise, own
from fragility.report.context import Context, natural
from fragility.report.grids import Grid, shared
from fragility.statistics.estimate import missing
from fragility.statistics.split_half import SplitHalf, split_half
from fragility.store import noise_queries as ask


@dataclass(frozen=True)
class Halves:
    """One test point's effects by the first and by the second half of its replicates."""

    cell: str
    repeat: int
    test_point: int
    removed: NDArray[np.int64]
    group: bool
    first: Values
    second: Values
    split: SplitHalf


@dataclass(frozen=True)
class Measured:
    """What one procedure measured of one arm, over all its repeats.

    `effects` are the changes by every removal and replicate, `placebo` those by removing nothing,
    both in the unit of the measurable.
    `splits` are the test points whose replicates could be cut into halves.
    """

    arm: str
    procedure: str
    effects: Values
    placebo: Values
    noise: Noise
    splits: tuple[Halves, ...]

    @property
    def key(self) -> tuple[str, str]:
        """The arm and the procedure."""
        return self.arm, self.procedure

    @cached_property
    def sizes(self) -> tuple[float | None, float | None]:
        """The median size of an effect and of the placebo's."""
        return _median_size(self.effects), _median_size(self.placebo)

    @cached_property
    def share(self) -> float | None:
        """The placebo's median size as a share of an effect's."""
        effect, placebo = self.sizes
        return None if not effect or placebo is None else placebo / effect

    @property
    def middle(self) -> Halves | None:
        """The test point whose halves agree at the median."""
        ordered = sorted(self.splits, key=lambda one: (one.split.half or 0.0, one.test_point))
        return ordered[(len(ordered) - 1) // 2] if ordered else None

    @property
    def half(self) -> float | None:
        """The agreement of halves: a median over cuts, averaged over test points and repeats."""
        return float(np.mean([one.split.half for one in self.splits])) if self.splits else None

    @property
    def full(self) -> float | None:
        """The reliability of the mean over all replicates, from its halves."""
        return float(np.mean([one.split.full for one in self.splits])) if self.splits else None


def measured(context: Context, keys: Sequence[tuple[str, str]]) -> list[Measured]:
    """Returns what procedures measured, by arm and procedure."""
    changes = _changes(context)
    seed = derive_seed(context.source.run["seed"], "report intervals")
    found = []
    for arm, procedure in keys:
        cells = [
            (cell["cell_id"], cell["repeat"])
            for cell in context.cells
            if cell["arm"] == arm and (cell["cell_id"], procedure) in context.grids.effects
        ]
        grids = [context.grids.effects[cell, procedure] for cell, _ in cells]
        effects, placebo = (
            np.concatenate(
                [
                    np.zeros(0),
                    *(changes.get((cell, procedure, nothing), np.zeros(0)) for cell, _ in cells),
                ]
            )
            for nothing in (False, True)
        )
        found.append(
            Measured(
                arm,
                procedure,
                effects,
                placebo,
                _noise(grids, seed),
                tuple(
                    half
                    for (cell, repeat), grid in zip(cells, grids, strict=True)
                    for half in _halves(cell, repeat, grid)
                ),
            )
        )
    return found


def _changes(context: Context) -> dict[tuple[str, str, bool], Values]:
    """Returns the changes of every cell and procedure, by whether nothing was removed."""
    columns = context.source.columns(ask.CHANGES)
    keys = [columns[name] for name in ("cell_id", "procedure", "placebo")]
    size = len(columns["effect"])
    if not size:
        return {}
    new = np.ones(size + 1, dtype=bool)
    new[1:-1] = np.logical_or.reduce([np.asarray(key[1:] != key[:-1]) for key in keys])
    return {
        (str(keys[0][start]), str(keys[1][start]), bool(keys[2][start])): np.asarray(
            columns["effect"][start:stop], dtype=np.float64
        )
        for start, stop in pairwise(np.flatnonzero(new))
    }


def procedures(context: Context) -> list[tuple[str, str]]:
    """Returns every arm and procedure with effects, in natural order."""
    arm_of = {cell["cell_id"]: cell["arm"] for cell in context.cells}
    found = {
        (arm_of[cell], procedure) for cell, procedure in context.grids.effects if cell in arm_of
    }
    return sorted(found, key=lambda key: (natural(key[0]), natural(key[1])))


def _noise(grids: Sequence[Grid], seed: int) -> Noise:
    known = [(grid, *shared([grid])) for grid in grids]
    used = [(grid, tests, removed) for grid, tests, removed in known if removed.size > 1]
    if not used:
        return Noise(0, *[missing("fewer than two removals have an effect")] * 3)
    effects = tuple(grid.at(tests, removed) for grid, tests, removed in used)
    sample = Sample(
        tuple(one.mean(axis=0) for one in effects),
        effects,
        own([tests for _, tests, _ in used]),
        own([removed for _, _, removed in used]),
    )
    return noise(sample, seed)


def _halves(cell: str, repeat: int, grid: Grid) -> list[Halves]:
    """Returns every test point of a cell whose halves can be correlated."""
    tests, removed = shared([grid])
    values = grid.at(tests, removed)
    half = len(values) // 2
    found = []
    for place, test in enumerate(tests):
        effects = values[:, place]
        split = split_half(effects, seed=0, splits=SPLITS)
        if split.reason is None:
            ends = effects[:half].mean(axis=0), effects[half : 2 * half].mean(axis=0)
            found.append(Halves(cell, repeat, int(test), removed, grid.group, *ends, split))
    return found


SPLITS = 200
"""Cuts into halves for each test point: a page waits for all of them."""


def _median_size(values: Values) -> float | None:
    return float(np.median(np.abs(values))) if values.size else None
