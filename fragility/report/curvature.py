"""Curvature and stationarity of base models: rows for tables, and the spectrum for a figure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from fragility.report.context import Context, natural, spread
from fragility.report.facts import BOTTOM, GRADIENT, NEGATIVE, TOP
from fragility.report.figures.spectrum import NEGATIVE as NEGATIVE_TOKEN
from fragility.report.figures.spectrum import Damping, spectrum
from fragility.report.parts import Chart, Key, Panel, data_table
from fragility.report.source import Row
from fragility.report.text import MISSING, count, listing, number, plural, ratio, whole
from fragility.store import curvature_queries as curved
from fragility.store import report_queries as ask

PANELS = 6
USUAL = "hessian of all parameters"
EPSILON, CONDITION = "machine_epsilon", "condition_number"
SHARE, DECREMENT, DECREASE, STEP = (
    "example_gradient_norm",
    "newton_decrement",
    "newton_decrease",
    "newton_step_norm",
)
OF_MODEL = (TOP, BOTTOM, NEGATIVE, CONDITION)
OF_ESTIMATOR = (
    "curvature_top_eigenvalue",
    "curvature_bottom_eigenvalue",
    "curvature_negative_eigenvalues",
    "curvature_condition_number",
)
PRECISIONS = {float(np.finfo(name).eps): name for name in ("float32", "float64")}
Values = NDArray[np.float64]
Facts = Mapping[str, Row]


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


def stationarity(context: Context) -> list[list[str]]:
    """Returns a row an arm: gradient norm, one example's, and Newton's way to the optimum."""
    models = {row["arm"]: row["models"] for row in context.source.ask(ask.BASE_MODELS)}
    lines = []
    for (arm, estimator), facts in _facts(context):
        value = partial(_value, facts, models.get(arm, 0))
        if estimator or not {SHARE, DECREMENT} & facts.keys():
            continue
        norm, share = (_number(facts, name) for name in (GRADIENT, SHARE))
        against = MISSING if norm is None or not share else _times(norm / share)
        names = (GRADIENT, SHARE, DECREMENT, DECREASE, STEP)
        cells = [value(name) for name in names]
        lines.append([context.arm_label(arm), *cells[:2], against, *cells[2:]])
    return lines


def curvatures(context: Context) -> list[list[str]]:
    """Returns a row for each arm's Hessian, and for each matrix that an estimator inverted."""
    models = {row["arm"]: row["models"] for row in context.source.ask(ask.BASE_MODELS)}
    effective = {
        (row["arm"], row["estimator"]): row for row in context.source.ask(curved.EFFECTIVE)
    }
    lines = []
    for (arm, estimator), facts in _facts(context):
        names = OF_ESTIMATOR if estimator else OF_MODEL
        if not {*names, "damping"} & facts.keys():
            continue
        value = partial(_value, facts, models.get(arm, 0))
        top, bottom, negative, condition = names
        row = effective.get((arm, estimator))
        damping = facts.get("damping")
        matrix = (damping["detail"] if damping else None) or ""
        short = matrix.removesuffix(" of all parameters")
        whose = f"{estimator}: {short}" if matrix not in ("", USUAL) else estimator
        lines.append(
            [
                context.arm_label(arm),
                whose or "the objective",
                value(top),
                value(bottom),
                value(negative, spread=True),
                _declared(damping["value"] if damping else None),
                _dimension(row),
                value(condition),
                *_precision(facts, condition),
            ]
        )
    return lines


def _facts(context: Context) -> list[tuple[tuple[str, str], Facts]]:
    """Returns the diagnostics by arm and estimator (empty: of the model) in reading order."""
    found: dict[tuple[str, str], dict[str, Row]] = defaultdict(dict)
    for row in context.source.ask(ask.DIAGNOSTICS):
        found[row["arm"], row["estimator"] or ""][row["name"]] = row
    return sorted(found.items(), key=lambda item: (natural(item[0][0]), natural(item[0][1])))


def _number(facts: Facts, name: str) -> float | None:
    row = facts.get(name)
    return None if row is None else row["value"]


def _value(facts: Facts, models: int, name: str, *, spread: bool = False) -> str:
    """Returns a median, with its range if asked, or in a word why there is none."""
    row = facts.get(name)
    if row is None:
        return MISSING
    detail = str(row["detail"] or "")
    if row["value"] is None:
        return "indefinite" if detail.startswith("indefinite") else MISSING
    words = whole if "negative" in name else number
    text = words(row["value"])
    if name in (CONDITION, DECREMENT, DECREASE, STEP) and detail.startswith("at least"):
        text = f"≥ {text}"
    ends = words(row["lowest"]), words(row["highest"])
    if spread and row["defined"] > 1 and ends[0] != ends[1]:
        text += f" [{ends[0]}, {ends[1]}]"
    if name in (DECREMENT, DECREASE, STEP) and row["defined"] < models:
        text += f" ({count(row['defined'])} of {plural(models, 'model')})"
    return text


def _dimension(row: Row | None) -> str:
    if row is None or row["effective_dimension"] is None:
        return MISSING
    return f"{number(row['effective_dimension'])} of {whole(row['parameters'])}"


def _precision(facts: Facts, condition: str) -> tuple[str, str]:
    """Returns the precision that was used, and what it leaves: the condition times its epsilon."""
    epsilon, found = _number(facts, EPSILON), _number(facts, condition)
    if epsilon is None:
        return MISSING, MISSING
    name = PRECISIONS.get(epsilon, number(epsilon))
    return name, MISSING if found is None else number(found * epsilon)


def _times(value: float) -> str:
    if value > 1000:
        return "> 1000 times"
    return ratio(value) if value < 1 else f"{number(value)} times"


def _declared(value: float | None) -> str:
    """Returns a number that somebody chose: without the zeros that no measurement stands behind."""
    return f"{value:g}" if value is not None and (value == 0 or value >= 1e-3) else number(value)


def moved(context: Context) -> Mapping[tuple[str, str], tuple[str, str, str]]:
    """Returns how far retrainings moved, how far the placebo did, and its share, by procedure."""
    found = {}
    for row in context.source.ask(curved.MOVED):
        far, nothing = row["retraining"], row["placebo"]
        share = MISSING if nothing is None or not far else ratio(nothing / far)
        found[row["arm"], row["procedure"]] = (number(far), number(nothing), share)
    return found


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
    keys = [Key("eigenvalues", "ink", "square"), Key("negative", NEGATIVE_TOKEN, "square")]
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
        words += f"; the damping of {whose}, {_declared(highest)}, exceeds {which} of them in size"
    return f"{words}."
