"""The spectra of base models' curvature as a figure, with what estimators add to them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fragility.report.context import Context, natural, spread
from fragility.report.curvature import USUAL, declared
from fragility.report.figures.spectrum import NEGATIVE, Damping, spectrum
from fragility.report.parts import Chart, Key, Panel, data_table
from fragility.report.source import Row
from fragility.report.text import count, listing, number
from fragility.store import curvature_queries as curved
from fragility.store import report_queries as ask

PANELS = 6
Values = NDArray[np.float64]


@dataclass(frozen=True)
class Shown:
    """One matrix of an arm's first model: its eigenvalues with weights, and what was added."""

    arm: str
    matrix: str
    values: Values
    weights: Values
    dampings: Sequence[Damping]

    @property
    def lost(self) -> float:
        """The size up to which an eigenvalue is 0 to the rounding of float64."""
        return float(np.finfo(np.float64).eps * len(self.values) * np.abs(self.values).max())

    def number(self, which: NDArray[np.bool_]) -> str:
        """Returns how many eigenvalues are meant; of a quadrature it is an estimate."""
        total = float(self.weights[which].sum())
        exact = bool((self.weights == 1).all())
        return count(round(total)) if exact else f"about {count(round(total))}"


def chart(context: Context) -> Chart | None:
    """Returns the spectra of some arms' first models, None where none was kept."""
    shown, total = _shown(context)
    if not shown:
        return None
    title = "The spectrum of the curvature, and what estimators add to it"
    panels = [
        Panel(
            spectrum(
                one.values,
                one.weights,
                one.dampings,
                name=f"spectrum-{place}",
                title=f"{context.arm_label(one.arm)}, {one.matrix}",
            ),
            context.arm_label(one.arm),
            one.matrix,
        )
        for place, one in enumerate(shown)
    ]
    keys = [Key("eigenvalues", "ink", "square"), Key("negative", NEGATIVE, "square")]
    if any((np.abs(one.values) <= one.lost).any() for one in shown):
        keys.append(Key("0 to rounding", "soft", "square"))
    keys += _damping_keys(shown)
    keys.append(Key("rounding of a precision: epsilon times the largest", "soft", "dash"))
    notes = _notes(context, shown, total)
    picked = context.source.fetch(_query(context, shown))
    tables = [data_table(picked)]
    tables += [data_table(context.source.fetch(q)) for q in (curved.DAMPINGS, curved.KEPT)]
    return Chart(
        "convergence-spectrum", title, panels, _reading(context, shown), tables, keys, notes
    )


def _damping_keys(shown: Sequence[Shown]) -> list[Key]:
    found: dict[str, Key] = {}
    for one in shown:
        for damping in one.dampings:
            to = "" if damping.matrix == one.matrix else f", added to {damping.matrix}"
            zero = "" if damping.value else " (0: not drawn)"
            label = f"damping of {damping.estimator}{to}{zero}"
            found.setdefault(damping.estimator, Key(label, damping.token, "line"))
    return [found[name] for name in sorted(found, key=natural)]


def _shown(context: Context) -> tuple[list[Shown], int]:
    kept = sorted(
        context.source.ask(curved.KEPT), key=lambda row: (natural(row["arm"]), row["matrix"])
    )
    dampings = context.source.ask(curved.DAMPINGS)
    picked = _picked(kept, dampings)
    if not picked:
        return [], 0
    query = curved.spectra([(row["cell_id"], row["matrix"]) for row in picked])
    found: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in context.source.ask(query):
        found[row["cell_id"], row["matrix"]].append(row)
    shown = []
    for row in picked:
        rows = found[row["cell_id"], row["matrix"]]
        values, weights = (
            np.array([one[name] for one in rows], dtype=np.float64)
            for name in ("eigenvalue", "weight")
        )
        if values.size and np.isfinite(values).all():
            own = _drawn(context, row, [r["matrix"] for r in picked if r["arm"] == row["arm"]])
            shown.append(Shown(row["arm"], row["matrix"], values, weights, own))
    return shown, len(kept)


def _picked(kept: Sequence[Row], dampings: Sequence[Row]) -> list[Row]:
    """Returns the spectra to draw: of each arm the Hessian's, then those with most dampings."""

    def turn(row: Row) -> tuple[bool, int]:
        same = [(d["arm"], d["matrix"]) == (row["arm"], row["matrix"]) for d in dampings]
        return row["matrix"] != USUAL, -sum(same)

    by_arm: dict[str, list[Row]] = defaultdict(list)
    for row in sorted(kept, key=turn):
        by_arm[row["arm"]].append(row)
    first = spread([by_arm[arm][0] for arm in sorted(by_arm, key=natural)], PANELS)
    others = sorted((row for rows in by_arm.values() for row in rows[1:]), key=turn)
    chosen = first + others[: PANELS - len(first)]
    return sorted(chosen, key=lambda row: (natural(row["arm"]), turn(row)))


def _drawn(context: Context, row: Row, matrices: Sequence[str]) -> list[Damping]:
    """Returns the dampings of a matrix; in an arm's first also those of matrices not drawn."""
    found = []
    for own in context.source.ask(curved.DAMPINGS):
        stray = row["matrix"] == matrices[0] and own["matrix"] not in matrices
        if own["arm"] == row["arm"] and (own["matrix"] == row["matrix"] or stray):
            token = context.colours.get(own["estimator"], "c1")
            found.append(Damping(own["estimator"], own["matrix"], own["damping"], token))
    return found


def _query(context: Context, shown: Sequence[Shown]) -> ask.Query:
    cells = {(row["arm"], row["matrix"]): row["cell_id"] for row in context.source.ask(curved.KEPT)}
    return curved.spectra([(cells[one.arm, one.matrix], one.matrix) for one in shown])


def _notes(context: Context, shown: Sequence[Shown], total: int) -> list[str]:
    notes = []
    if len(shown) < total:
        notes.append(f"{len(shown)} of {total} spectra are drawn: of each arm the Hessian's first.")
    if context.repeats > 1:
        notes.append("Of each arm the first repeat is drawn; the tables have medians over repeats.")
    return notes


def _reading(context: Context, shown: Sequence[Shown]) -> str:
    sentences = [_said(context, one) for one in spread(shown, 2)]
    return " ".join(sentences)


def _said(context: Context, one: Shown) -> str:
    size, lost = np.abs(one.values), one.lost
    negative = one.values < -lost
    total = count(round(float(one.weights.sum())))
    matrix = "" if one.matrix == USUAL else f" ({one.matrix})"
    words = f"Of {total} eigenvalues of {context.arm_label(one.arm)}{matrix},"
    if negative.any():
        words += (
            f" {one.number(negative)} are negative, the lowest {number(float(one.values.min()))}"
        )
    else:
        words += " none is negative"
    hidden = size < np.finfo(np.float32).eps * size.max()
    if hidden.any():
        words += f"; float32 would hide {one.number(hidden)} in rounding"
    highest = max((damping.value for damping in one.dampings), default=0.0)
    if highest > 0:
        whose = listing([d.estimator for d in one.dampings if d.value == highest])
        below = size < highest
        which = "all" if below.all() else one.number(below) if below.any() else "none"
        words += f"; the damping of {whose}, {declared(highest)}, exceeds {which} of them in size"
    return f"{words}."
