"""Agreement: every arm, estimator and procedure with all metrics, as dots and as a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fragility.report.context import Combination, Context, Estimate, absolute, metric_name, spread
from fragility.report.figures.intervals import Dot, forest
from fragility.report.intervals import KINDS, band
from fragility.report.parts import Chart, Key, Panel, Section, data_table
from fragility.report.text import (
    count,
    estimate,
    number,
    plural,
)
from fragility.store import report_queries as ask

ROWS, ROWS_WITH_ALL_METRICS = 40, 8
REFERENCE = {"relative_error": 0.0}
FLOOR = {"r2_identity": -1.0}
NOT_DRAWN = ("intercept", "theil_sen_intercept")
ALWAYS_DRAWN = ("pearson", "spearman", "slope")
BANDS = (
    "Bands of Pearson and Spearman hold the very number that is shown when the removals' labels are"
    " permuted in every repeat; those of other metrics are of a single test point."
)
NOT_ZERO_BY_CHANCE = ("sign_agreement", "cosine", "top_k_precision", "relative_error")


@dataclass(frozen=True)
class Cell:
    """One metric of one row of the table."""

    value: str
    interval: str
    sort: float
    reason: str | None = None
    chance: str = ""
    population: str = ""


def section(context: Context) -> Section:
    """Returns the agreement section."""
    measured = [c for c in context.combinations if (c, context.primary) in context.estimates]
    rows = [_row(context, combination) for combination in measured]
    reasons = context.source.fetch(ask.UNDEFINED)
    data = {
        "metrics": [metric_name(metric) for metric in context.metrics],
        "rows": rows,
        "chart": _chart(context, measured) if measured else None,
        "undefined": [
            f"{context.arm_label(row['arm'])}, {metric_name(row['metric'])}: {row['reason']}"
            f" ({plural(row['agreements'], 'agreement')})"
            for row in reasons.dicts[:12]
        ],
        "undefined_rest": max(0, len(reasons) - 12),
        "repeats": context.repeats > 1,
        "ceilings": any(e.ceiling is not None for e in context.estimates.values()),
        "over": _over(context),
        "population": bool(context.population),
    }
    return Section("agreement", "Agreement", data)


def _over(context: Context) -> str:
    """Returns what a value is, and what its interval is over."""
    several = context.repeats > 1
    what = (
        f"mean over up to {context.repeats} repeats of the median over test points"
        if several
        else "median over test points"
    )
    plain = "Student's over repeats" if several else "a bootstrap's over test and training points"
    judged = [
        found.nested
        for (_, metric), found in context.estimates.items()
        if metric in KINDS and found.value is not None
    ]
    if not any(judged):
        return f"{what}, with a 95 % interval: {plain}"
    nested = (
        "a nested bootstrap's over "
        + ("repeats, " if several else "")
        + ("test points and training points (2,000 draws, fewer where they would take long)")
    )
    rest = sum(not one for one in judged)
    but = f", but for {rest} of {len(judged)} with too many pairs or too few units" if rest else ""
    return f"{what}. 95 % intervals of Pearson and Spearman are {nested}{but}; others are {plain}"


def _row(context: Context, combination: Combination) -> dict[str, object]:
    found = [context.estimates.get((combination, metric)) for metric in context.metrics]
    first = next(e for e in found if e is not None)
    target = context.targets[combination]
    ceiling = context.estimates.get((combination, "pearson")) or first
    return {
        "label": context.arm_label(combination.arm),
        "estimator": combination.estimator,
        "token": context.colours[combination.estimator],
        "procedure": combination.procedure,
        "cells": [
            _cell(m, e, context.population.get((combination, m)))
            for m, e in zip(context.metrics, found, strict=True)
        ],
        "pairs": f"{count(first.n or 0)} × {count(first.n_test or 0)}",
        "repeats": count(first.repeats),
        "ceiling": _ceiling(ceiling),
        "mismatch": context.mismatch(combination),
        "target": "same target"
        if target["score_parameters"] is None
        else f"same target ({target['score_parameters']})",
    }


def _ceiling(found: Estimate) -> tuple[str, str]:
    value, _, bounds = estimate(
        "pearson", found.ceiling, found.ceiling_low, found.ceiling_high
    ).partition(" [")
    return value, bounds and f"[{bounds}"


def _cell(metric: str, found: Estimate | None, population: Estimate | None) -> Cell:
    if found is None or found.value is None:
        return Cell("–", "", float("-inf"), found.reason if found else "not measured")
    value, _, bounds = estimate(metric, found.value, found.low, found.high).partition(" [")
    chance = _chance(metric, found)
    words = "" if chance is None else f"chance {number(chance)}"
    of_all = "" if population is None else f"population {_words(metric, population)}"
    return Cell(value, bounds and f"[{bounds}", found.value, chance=words, population=of_all)


def _chance(metric: str, found: Estimate) -> float | None:
    """Returns what unrelated lists give, where that is not 0 for all of them."""
    return found.chance if absolute(metric) or metric in NOT_ZERO_BY_CHANCE else None


def _chart(context: Context, measured: Sequence[Combination]) -> Chart:
    shown = spread(measured, ROWS)
    metrics = [metric for metric in context.metrics if metric not in NOT_DRAWN]
    if len(shown) > ROWS_WITH_ALL_METRICS:
        metrics = [metric for metric in metrics if metric.strip("|") in ALWAYS_DRAWN]
    panels = [Panel(_forest(context, shown, m), metric_name(m)) for m in metrics]
    notes = [BANDS, *context.mismatches()]
    if len(shown) < len(measured):
        notes.append(
            f"{len(shown)} of {len(measured)} rows are drawn, evenly spaced; the table has all."
        )
    keys = [
        Key(name, token)
        for name, token in context.colours.items()
        if any(combination.estimator == name for combination in shown)
    ]
    keys.append(Key("what scores give that say nothing (95 %)", "band", "band"))
    if any(e.ceiling is not None for e in context.estimates.values()):
        keys.append(Key("noise ceiling", "ink", "tick"))
    if any(_chance(m, e) is not None for (_, m), e in context.estimates.items() if m in metrics):
        keys.append(Key("chance: the mean of unrelated lists", "soft", "tick"))
    return Chart(
        "agreement-dots",
        "Agreement of scores with measured effects",
        panels,
        _reading(context),
        [
            data_table(context.source.fetch(query))
            for query in (ask.AGREEMENT, *([ask.POPULATION] if context.population else []))
        ],
        keys,
        notes,
    )


def _forest(context: Context, shown: Sequence[Combination], metric: str) -> str:
    dots = []
    for combination in shown:
        found = context.estimates.get((combination, metric))
        label, token = context.label(combination), context.colours[combination.estimator]
        if found is None:
            dots.append(Dot(label, None, None, None, token=token))
            continue
        ceiling = found.ceiling if metric in ask.PREFERRED_METRICS[:2] else None
        bounds = found.low, found.high, ceiling
        chance = _chance(metric, found)
        range_ = band(context, combination, metric, found.n or 0)
        dots.append(Dot(label, found.value, *bounds, token, found.reason, chance, range_))
    return forest(
        dots,
        name=f"agreement-{_slug(metric)}",
        metric=metric,
        reference=REFERENCE.get(metric, 1.0),
        floor=FLOOR.get(metric),
    )


def _slug(metric: str) -> str:
    words = metric.strip("|").replace("_", "-")
    return f"absolute-{words}" if absolute(metric) else words


def _reading(context: Context) -> str:
    ranked, primary = context.ranked(), context.primary or ""
    if not ranked:
        return "No agreement has a value; the reasons are listed below."
    best, worst = ranked[0], ranked[-1]
    name = context.named(primary)
    if len(ranked) == 1:
        words = f"{name} is {_words(primary, best[1])}"
    else:
        words = (
            f"{name} runs from {_words(primary, worst[1])} ({context.label(worst[0])})"
            f" to {_words(primary, best[1])} ({context.label(best[0])})"
        )
    bands = [band(context, combination, primary, found.n or 0) for combination, found in ranked]
    if None in bands:
        return f"{words}."
    above = sum(
        (found.low if found.low is not None else found.value or 0) > edges[1]
        for (_, found), edges in zip(ranked, bands, strict=True)
        if edges is not None
    )
    return (
        f"{words}; {above} of {plural(len(ranked), 'interval')} lie wholly above what scores give"
        " that say nothing."
    )


def _words(metric: str, found: Estimate) -> str:
    return estimate(metric, found.value, found.low, found.high)
