"""Curvature and stationarity of base models, as rows for tables."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from functools import partial

import numpy as np

from fragility.report.context import Context, natural
from fragility.report.facts import BOTTOM, GRADIENT, NEGATIVE, TOP
from fragility.report.source import Row
from fragility.report.text import MISSING, count, number, plural, ratio, whole
from fragility.store import curvature_queries as curved
from fragility.store import report_queries as ask

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
Facts = Mapping[str, Row]


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
                declared(damping["value"] if damping else None),
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


def declared(value: float | None) -> str:
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
