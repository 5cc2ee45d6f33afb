"""The controls: of the newest shipped ones in a store, and of a study's own rows, what came out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fragility.identity import derive_seed
from fragility.report.averages import FEWEST_PAIRS
from fragility.report.control_rules import MEASURABLE, PARTS, REACHED, in_band, reaches
from fragility.report.control_statistics import Halves, Inside, drawn, half_against_half
from fragility.report.parts import DataTable, data_table
from fragility.report.source import Source
from fragility.report.statistics import mean_interval
from fragility.report.text import count, percent, plural
from fragility.store import control_queries as ask

if TYPE_CHECKING:
    from fragility.report.context import Context

Values = NDArray[np.float64]

FEWEST_REPLICATES = 4
MOST_REPEATS = 20
"""Repeats of an arm that are looked at: a page does not wait for more."""

MOST_TOLD = 4


@dataclass(frozen=True)
class Control:
    """What was expected, why, what was measured, and whether that is within the bound."""

    name: str
    expected: str
    why: str
    measured: str
    passed: bool


@dataclass(frozen=True)
class Controls:
    """The shipped controls of a store: empty where they were not run.

    `runs` are the ids of the newest runs by study, `tables` the rows that all was derived from.
    """

    rows: tuple[Control, ...]
    runs: Mapping[str, str]
    tables: tuple[tuple[str, DataTable], ...]

    @property
    def failed(self) -> list[str]:
        """The names of those that failed."""
        return [row.name for row in self.rows if not row.passed]


def stored(source: Source) -> Controls:
    """Returns the controls as the newest runs in the store have them."""
    runs = {row["study"]: row["run_id"] for row in source.ask(ask.NEWEST)}
    rows: list[Control] = []
    tables: dict[tuple[str, str], DataTable] = {}
    for study, rules in PARTS.items() if runs else ():
        part = source.beside(runs[study]) if study in runs else None
        for rule in rules:
            measured, passed = (rule.measure(part) if part else None) or ("not measured", False)
            rows.append(Control(rule.name, rule.expected, rule.why, measured, passed))
            if part is not None:
                for query in rule.queries:
                    tables[study, query.name] = data_table(part.fetch(query))
    return Controls(tuple(rows), runs, tuple((study, t) for (study, _), t in tables.items()))


def of_study(context: Context) -> tuple[Control, ...]:
    """Returns the controls that every study carries in itself, from its own rows."""
    return tuple(row for row in (_own_halves(context), _own_random(context)) if row is not None)


def _own_halves(context: Context) -> Control | None:
    """Returns how many procedures reach what noise allows; None without enough replicates."""
    reached: dict[str, bool] = {}
    told: list[str] = []
    noisy = 0
    for (arm, procedure), grids in _grids(context, FEWEST_REPLICATES).items():
        found = [
            part
            for number_, grid in enumerate(grids)
            if (
                part := half_against_half(
                    grid, derive_seed(context.source.run["seed"], "halves", number_)
                )
            )
        ]
        if not found:
            continue
        allowed = float(np.mean([part.allowed for part in found]))
        if allowed < MEASURABLE:
            noisy += 1
            continue
        means = [part.observed.value for part in found]
        observed = mean_interval(means, "pearson") if len(means) > 1 else found[0].observed
        words, passed = reaches(Halves(observed, allowed))
        label = context.procedure_label(arm, procedure)
        reached[label] = passed
        told.append(f"{label} {words}")
    if not reached and not noisy:
        return None
    words = "; ".join(told[:MOST_TOLD]) or "none can be judged"
    rest = len(told) - MOST_TOLD
    words += f"; and {plural(rest, 'more')}" if rest > 0 else ""
    words += f"; not judged, because noise is more than half: {count(noisy)}" if noisy else ""
    return Control(
        "Half against half, this study",
        f"at least {percent(REACHED)} of what noise allows",
        "No score agrees better with one half of the replicates than the other half does.",
        words,
        all(reached.values()),
    )


def _own_random(context: Context) -> Control | None:
    """Returns where random numbers in place of scores lie; None where nothing was measured."""
    seed = context.source.run["seed"]
    parts = [
        part
        for place, grid in enumerate(g for grids in _grids(context, 1).values() for g in grids)
        if (part := drawn(grid.mean(axis=0), derive_seed(seed, "random scores", place)))
    ]
    if not parts:
        return None
    words, passed = in_band(Inside(sum(p.count for p in parts), sum(p.total for p in parts)))
    return Control(
        "Random scores, this study",
        "inside the 95 % band of unrelated lists",
        "Normal numbers drawn for every cell, procedure and test point, beside its effects.",
        words,
        passed,
    )


def _grids(context: Context, replicates: int) -> dict[tuple[str, str], list[Values]]:
    """Returns the whole effects (replicates, tests, removals) of arms and procedures, by cell."""
    found: dict[tuple[str, str], list[Values]] = {}
    arms = {cell["cell_id"]: cell["arm"] for cell in context.cells}
    for (cell, procedure), grid in context.grids.effects.items():
        known = np.isfinite(grid.values).all(axis=(0, 1))
        values = grid.values[:, :, known]
        if len(values) >= replicates and values.shape[2] >= FEWEST_PAIRS:
            of = found.setdefault((arms[cell], procedure), [])
            if len(of) < MOST_REPEATS:
                of.append(values)
    return found
