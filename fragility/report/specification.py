"""Stored scores and effects as protocols read them, and the protocols that a study declares."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fragility.identity import derive_seed
from fragility.protocols import (
    PROTOCOLS,
    Curve,
    Protocol,
    Rescored,
    Stored,
    curve,
    with_intervals,
)
from fragility.report.context import Combination, Context, natural, spread
from fragility.report.declared import declared
from fragility.report.parts import DATA_ROWS, DataTable
from fragility.report.source import Columns
from fragility.report.text import plain
from fragility.store import specification_queries as ask
from fragility.store.report_queries import Query

ARMS = 12
DRAWN, COLUMNS = 3, 240
"""So many curves are drawn, and so many specifications of each."""
PAIRS = 1_000_000

Subject = tuple[str, str]
"""An arm and an estimator: what is held fixed."""


@dataclass(frozen=True)
class Specified:
    """One arm and estimator: its curve, and the declared protocols' numbers by kind.

    Protocols have intervals, the specifications of a curve that is `drawn` too.
    """

    arm: str
    estimator: str
    curve: Curve
    protocols: Mapping[str, Rescored]
    drawn: bool = False


@dataclass(frozen=True)
class Specifications:
    """Everything the section shows, read from one in `every` test points."""

    shown: Sequence[Specified]
    subjects: int
    every: int
    table: DataTable | None


def build(context: Context) -> Specifications:
    """Returns the curves of at most `ARMS` arms and estimators, evenly spaced."""
    known = subjects(context)
    chosen: list[Subject] = spread(known, ARMS)
    query, thin = pairs_of(context, chosen)
    if query is None:
        return Specifications((), len(known), 1, None)
    columns = context.source.columns(query)
    stored = by_cell(columns)
    asked = protocols(context.source.run)
    seed = derive_seed(context.source.run["seed"], "report intervals")
    arms = {subject: _arm(context, subject, stored.get(subject, {})) for subject in chosen}
    curves = {subject: curve(held) for subject, held in arms.items()}
    several = [subject for subject, one in curves.items() if len(one.specifications) > 1]
    drawn = spread(several, DRAWN)
    found = []
    for (arm, estimator), held in arms.items():
        one = curves[arm, estimator]
        if (arm, estimator) in drawn:
            one = _with_intervals(one, held, seed)
        rescored = {p.kind: _rescored(p, held, seed) for p in asked}
        found.append(Specified(arm, estimator, one, rescored, (arm, estimator) in drawn))
    return Specifications(found, len(known), thin, table(query, columns))


def _with_intervals(one: Curve, held: Mapping[str, Sequence[Stored]], seed: int) -> Curve:
    """Returns the curve with the intervals of the specifications that are drawn or named."""
    shown = [*spread(one.specifications, COLUMNS), one.signed[0], one.signed[-1]]
    known = dict(zip(shown, with_intervals(shown, held, seed=seed), strict=True))
    return replace(one, specifications=tuple(known.get(s, s) for s in one.specifications))


def _arm(
    context: Context, subject: Subject, stored: Mapping[str, Mapping[str, Stored]]
) -> Mapping[str, Sequence[Stored]]:
    """Returns the repeats of every procedure, with the badge of a truth that mismatches."""
    return {
        procedure: [
            replace(one, mismatch=context.mismatch(Combination(*subject, procedure)))
            for one in cells.values()
        ]
        for procedure, cells in stored.items()
    }


def _rescored(protocol: Protocol, held: Mapping[str, Sequence[Stored]], seed: int) -> Rescored:
    found = protocol.rescored(held)
    if found.specification is None:
        return found
    (one,) = with_intervals([found.specification], held, seed=seed)
    return replace(found, specification=one)


def subjects(context: Context) -> list[Subject]:
    """Returns every arm and estimator that is compared with a truth, in natural order."""
    return sorted({(c.arm, c.estimator) for c in context.combinations}, key=_order)


def pairs_of(context: Context, chosen: Sequence[Subject]) -> tuple[Query | None, int]:
    """Returns the query for the pairs of some arms, at one in so many test points; None: no pair.

    So many that at most `PAIRS` are read.
    """
    counts = context.source.ask(ask.PAIRS)
    if not chosen or not counts:
        return None, 1
    arms = [arm for arm, _ in chosen]
    pairs = sum(row["pairs"] * arms.count(row["arm"]) for row in counts)
    thin = max(1, -(-pairs // PAIRS))
    return ask.specification(chosen, thin), thin


def protocols(run: Mapping[str, Any]) -> list[Protocol]:
    """Returns the protocols of the study as run: its text, changed by the overrides."""
    written = declared(run, "protocols")
    found = []
    for item in written if isinstance(written, list) else ():
        fields = {"kind": item} if isinstance(item, str) else item
        method = PROTOCOLS.methods.get(fields.get("kind", "")) if isinstance(fields, dict) else None
        if method:
            found.append(method.model_validate(fields))
    return found


def _order(subject: Subject) -> tuple[Any, Any]:
    return natural(subject[0]), natural(subject[1])


def by_cell(columns: Columns) -> Mapping[Subject, Mapping[str, Mapping[str, Stored]]]:
    """Returns by arm and estimator, by procedure, and by cell in order, what each repeat holds."""
    found: dict[Subject, dict[str, dict[str, Stored]]] = {}
    for (arm, estimator, procedure), rows in _runs(columns):
        one = _repeat(rows)
        if one is not None:
            cell = str(rows["cell_id"][0])
            found.setdefault((arm, estimator), {}).setdefault(procedure, {})[cell] = one
    return found


def _runs(columns: Columns) -> Iterator[tuple[tuple[str, str, str], Columns]]:
    """Yields the rows of every arm, estimator, procedure, cell and kind of removal."""
    keys = [columns[n] for n in ("arm", "estimator", "procedure", "cell_id", "removal")]
    size = len(keys[0])
    if not size:
        return
    new = np.ones(size + 1, dtype=bool)
    new[1:-1] = np.logical_or.reduce([np.asarray(key[1:] != key[:-1]) for key in keys])
    for start, stop in pairwise(np.flatnonzero(new)):
        rows = {name: column[start:stop] for name, column in columns.items()}
        yield (str(keys[0][start]), str(keys[1][start]), str(keys[2][start])), rows


def _repeat(rows: Columns) -> Stored | None:
    """Returns the removals whose every pair is known, None when there are none."""
    tests, row = np.unique(rows["test_point"], return_inverse=True)
    removed, column = np.unique(rows["removed"], return_inverse=True)
    known = np.bincount(column, minlength=len(removed)) == len(tests)

    def grid(name: str) -> NDArray[np.float64]:
        values = np.full((len(tests), len(removed)), np.nan)
        values[row, column] = rows[name]
        return values[:, known]

    def of_points(name: str) -> NDArray[np.float64] | None:
        values = grid(name)[0]
        return values if np.isfinite(values).all() else None

    if not known.any():
        return None
    probability = of_points("probability")
    return Stored(
        truth=str(rows["truth"][0]),
        tests=tests.astype(np.int64),
        removed=removed[known].astype(np.int64),
        scores=grid("score"),
        effects=grid("effect"),
        single=grid("single"),
        losses=grid("loss")[:, 0],
        replicates=int(rows["replicates"].min()),
        group=str(rows["removal"][0]) == "group",
        train_losses=of_points("train_loss"),
        weights=None if probability is None or (probability <= 0).any() else 1 / probability,
    )


def table(query: Query, columns: Columns) -> DataTable:
    """Returns the folded table of a query's columns."""
    names = tuple(columns)
    total = len(columns[names[0]])
    rows = tuple(
        tuple(_cell(columns[name][place]) for name in names)
        for place in range(min(total, DATA_ROWS))
    )
    return DataTable(query, names, rows, total)


def _cell(value: Any) -> str:
    return plain(value.item() if isinstance(value, np.generic) else value)
