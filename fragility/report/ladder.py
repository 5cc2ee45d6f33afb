"""The ladder in numbers: every rung against the score and against the rung below it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fragility.identity import derive_seed
from fragility.report.averages import (
    FEWEST_PAIRS,
    Sample,
    Values,
    agreement,
    mean_gap,
    noise_ceiling,
    own,
    root_mean_square,
)
from fragility.report.context import Context
from fragility.report.grids import Grid, Positions, shared
from fragility.report.intervals import permuted
from fragility.report.rungs import SCORE, Rung, Rungs, Truth, declared, isolates
from fragility.statistics.correlations import Kind
from fragility.statistics.estimate import Estimate

Band = tuple[float, float] | None
KINDS: tuple[Kind, ...] = ("pearson", "spearman")


@dataclass(frozen=True)
class Step:
    """One rung in numbers.

    `with_score` and `with_below` are correlations by kind, `score_band` and `below_band` what
    Pearson's stay within by chance, `ceiling` is what noise leaves of it (None without replicates);
    `gap` is the root mean square, and
    `gap_mean` the signed mean, of this rung minus the one below, in the unit of the effects;
    `effect` is the root mean square of this rung's effects themselves.
    """

    rung: Rung
    below: Truth
    isolates: str
    with_score: Mapping[Kind, Estimate]
    with_below: Mapping[Kind, Estimate]
    ceiling: float | None
    gap: Estimate
    gap_mean: float
    effect: float
    score_band: Band
    below_band: Band


@dataclass(frozen=True)
class Ladder:
    """An arm's ladder; `beside` is held against the score, not against a rung.

    `total_mean` is the signed mean of the highest rung minus the score: what the chain's `gap_mean`
    add up to. `pairs` counts them over all repeats; `reason` says why there are no numbers.
    """

    arm: str
    estimator: str
    rungs: Rungs
    chain: tuple[Step, ...]
    beside: tuple[Step, ...]
    total_mean: float
    repeats: int
    tests: int
    removed: int
    pairs: int
    reason: str | None

    @property
    def places(self) -> list[tuple[int, int, str, str]]:
        """Place, place of the rung below, truth and procedure of every rung; 0 is the score."""
        chain = [(i + 1, i, r.truth.name, r.procedure) for i, r in enumerate(self.rungs.chain)]
        beside = [
            (len(chain) + i + 1, 0, r.truth.name, r.procedure)
            for i, r in enumerate(self.rungs.beside)
        ]
        return chain + beside


@dataclass(frozen=True)
class _Cell:
    """Values (replicates, tests, removals) of the score and of every rung, at what they share."""

    tests: Positions
    removed: Positions
    values: tuple[Values, ...]


def build(context: Context, arm: str, estimator: str) -> Ladder:
    """Returns an arm's ladder over the removals and test points that all its rungs share."""
    rungs = declared(context, arm, estimator)
    found = _cells(context, arm, estimator, rungs)
    if not found:
        reason = f"no repeat has {FEWEST_PAIRS} removals that the score and every rung share"
        return Ladder(arm, estimator, rungs, (), (), 0.0, 0, 0, 0, 0, reason)
    seed = derive_seed(context.source.run["seed"], "report intervals")
    chain = [
        _step(found, rung, place, place - 1, _truth(rungs, place - 1), seed)
        for place, rung in enumerate(rungs.chain, start=1)
    ]
    beside = [
        _step(found, rung, len(rungs.chain) + place, 0, SCORE, seed)
        for place, rung in enumerate(rungs.beside, start=1)
    ]
    return Ladder(
        arm,
        estimator,
        rungs,
        tuple(chain),
        tuple(beside),
        mean_gap(_sample(found, 0, len(rungs.chain))),
        len(found),
        min(cell.tests.size for cell in found),
        min(cell.removed.size for cell in found),
        sum(cell.tests.size * cell.removed.size for cell in found),
        None,
    )


def weakest(ladder: Ladder) -> Step | None:
    """Returns the step of the chain whose ends agree least, by Pearson; None without any value."""
    known = [step for step in ladder.chain if step.with_below["pearson"].value is not None]
    return min(known, key=lambda step: step.with_below["pearson"].value or 0.0, default=None)


def _truth(rungs: Rungs, place: int) -> Truth:
    return rungs.chain[place - 1].truth if place else SCORE


def _cells(context: Context, arm: str, estimator: str, rungs: Rungs) -> list[_Cell]:
    """Returns the repeats of an arm in which score and rungs share enough."""
    found = []
    for cell in context.cells:
        if cell["arm"] != arm:
            continue
        keys = [(cell["cell_id"], rung.procedure) for rung in rungs.every]
        grids: list[Grid | None] = [context.grids.effects.get(key) for key in keys]
        grids.insert(0, context.grids.scores.get((cell["cell_id"], estimator, False)))
        known = [grid for grid in grids if grid is not None]
        if len(known) < len(grids) or not rungs.every:
            continue
        tests, removed = shared(known)
        if tests.size and removed.size >= FEWEST_PAIRS:
            found.append(_Cell(tests, removed, tuple(grid.at(tests, removed) for grid in known)))
    return found


def _step(
    cells: Sequence[_Cell], rung: Rung, place: int, below: int, under: Truth, seed: int
) -> Step:
    with_score, with_below = _sample(cells, 0, place), _sample(cells, below, place)
    of_score = {kind: agreement(with_score, kind, seed) for kind in KINDS}
    return Step(
        rung,
        under,
        isolates(under, rung.truth),
        of_score,
        of_score if below == 0 else {kind: agreement(with_below, kind, seed) for kind in KINDS},
        noise_ceiling(with_below),
        root_mean_square(with_below, seed),
        mean_gap(with_below),
        float(np.sqrt(np.mean([np.mean(c.values[place].mean(axis=0) ** 2) for c in cells]))),
        permuted(with_score, "pearson", np.mean, seed),
        permuted(with_below, "pearson", np.mean, seed),
    )


def _sample(cells: Sequence[_Cell], x: int, y: int) -> Sample:
    """Returns the values at one place, averaged over replicates, beside those at another."""
    return Sample(
        tuple(cell.values[x].mean(axis=0) for cell in cells),
        tuple(cell.values[y] for cell in cells),
        own([cell.tests for cell in cells]),
        own([cell.removed for cell in cells]),
    )
