"""Against factors: agreement and the top eigenvalue by swept value, as distributions over repeats.

Figures 1 to 3 of Epifano et al. 2023, signed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from fragility.report.context import Context, metric_name, spread
from fragility.report.facts import TOP
from fragility.report.figures.distributions import Line, distributions
from fragility.report.palette import MARKERS
from fragility.report.parts import Chart, DataTable, Key, Panel, Section, data_table
from fragility.report.series import Contrast, Settings, contrast, swept
from fragility.report.source import Row
from fragility.report.statistics import null_band
from fragility.report.text import listing, plural
from fragility.store import report_queries as ask

SHAPES = ("dot", "square", "triangle", "diamond", "down", "plus")
METRICS = ("pearson", "spearman")
MOST_SERIES, MOST_LEVELS, MOST_JUDGES, MOST_TESTS = 6, 16, 3, 24


@dataclass(frozen=True)
class Quantity:
    """What one panel shows: a metric under one estimator and procedure, or a diagnostic."""

    name: str
    metric: str
    rows: Sequence[Row]


def section(context: Context) -> Section:
    """Returns one chart and one table of tests for every swept factor."""
    factors = [
        _factor(context, index, name, levels)
        for index, (name, levels) in enumerate(swept(context).items())
    ]
    return Section("factors", "Against factors", {"factors": factors, "none": _none(context)})


def _none(context: Context) -> str:
    if swept(context):
        return ""
    over = "one repeat" if context.repeats <= 1 else plural(context.repeats, "repeat")
    return f"Nothing was swept in this study, and every arm has {over}: there is nothing to draw."


def _factor(context: Context, index: int, factor: str, levels: list[str]) -> dict[str, object]:
    shown, settings, n = spread(levels, MOST_LEVELS), Settings(context, factor), _n(context)
    panels: list[Panel] = []
    tests: list[Contrast] = []
    keys: dict[str, Key] = {}
    hidden: set[str] = set()
    for number, quantity in enumerate(_quantities(context, factor)):
        lines = settings.lines(quantity.rows)
        if not lines:
            continue
        hidden |= {line.label for line in lines[MOST_SERIES:]}
        for line in lines[:MOST_SERIES]:
            shape = SHAPES[MARKERS.index(line.marker)]
            keys.setdefault(line.label, Key(line.label, line.token, shape))
        name = f"factor-{index}-{number}"
        panels.append(_panel(quantity, lines[:MOST_SERIES], shown, name, factor, n))
        tests += [contrast(quantity.name, quantity.metric, line, levels) for line in lines]
    reading = _reading(tests, factor, levels)
    if not panels:
        return {"chart": None, "words": reading, "tests": [], "more": 0}
    chart = Chart(
        f"factor-{index}",
        f"Agreement and curvature against {factor}",
        panels,
        reading,
        _tables(context, factor),
        [*keys.values(), Key(f"what unrelated numbers give (95 %, n = {n})", "band", "band")],
        _notes(context, levels, shown, hidden),
    )
    return {"chart": chart, "tests": tests[:MOST_TESTS], "more": max(0, len(tests) - MOST_TESTS)}


def _quantities(context: Context, factor: str) -> Iterator[Quantity]:
    """Each metric under each shown estimator and procedure, then the top eigenvalue."""
    for metric in METRICS:
        groups: dict[tuple[str, str], list[Row]] = defaultdict(list)
        for row in context.source.ask(ask.factor_agreement(factor, metric)):
            groups[row["estimator"], row["procedure"]].append(row)
        for judge in spread(sorted(groups), MOST_JUDGES):
            words = " · ".join((metric_name(metric), *_varying(context, judge)))
            yield Quantity(words, metric, groups[judge])
    rows = context.source.ask(ask.factor_diagnostic(factor, TOP))
    yield Quantity("top Hessian eigenvalue", TOP, rows)


def _varying(context: Context, judge: tuple[str, str]) -> list[str]:
    estimators = {c.estimator for c in context.combinations}
    procedures = {c.procedure for c in context.combinations}
    return [
        word
        for word, all_of_them in zip(judge, (estimators, procedures), strict=True)
        if len(all_of_them) > 1
    ]


def _n(context: Context) -> int:
    return min((e.n for e in context.estimates.values() if e.n), default=0)


def _panel(
    quantity: Quantity, lines: Sequence[Line], levels: Sequence[str], name: str, factor: str, n: int
) -> Panel:
    values = np.concatenate([np.asarray(v) for line in lines for v in line.values.values()])
    band = null_band(quantity.metric, n)
    wide = bool(band is None and values.min() > 0 and values.max() > 50 * values.min())
    drawing = distributions(
        lines,
        levels,
        name=name,
        title=f"{quantity.name} against {factor}",
        axis=factor.split(".")[-1],
        quantity=quantity.name.partition(" · ")[0],
        metric=quantity.metric,
        band=band,
        logarithmic=wide,
    )
    return Panel(drawing, quantity.name, "geometric means" if wide else "")


def _tables(context: Context, factor: str) -> list[DataTable]:
    queries = [ask.factor_agreement(factor, metric) for metric in METRICS]
    queries.append(ask.factor_diagnostic(factor, TOP))
    found = [context.source.fetch(query) for query in queries]
    return [data_table(rows) for rows in found if len(rows)]


def _notes(
    context: Context, levels: Sequence[str], shown: Sequence[str], hidden: set[str]
) -> list[str]:
    judges = {(c.estimator, c.procedure) for c in context.combinations}
    notes = context.mismatches()
    if len(shown) < len(levels):
        notes.append(f"{len(shown)} of {len(levels)} values are drawn, evenly spaced.")
    if hidden:
        notes.append(f"Not drawn: {listing(sorted(hidden))}; the queries have them.")
    if len(judges) > MOST_JUDGES:
        notes.append(
            f"{MOST_JUDGES} of {len(judges)} estimators and procedures are drawn; the queries have"
            " all."
        )
    return notes


def _reading(tests: Sequence[Contrast], factor: str, levels: Sequence[str]) -> str:
    if not tests:
        return f"No value was measured at any of the {len(levels)} values of {factor}."
    first = [found for found in tests if found.quantity == tests[0].quantity]
    words = [f"{t.series} {t.first} and {t.last} (rank trend {t.trend})" for t in first[:3]]
    more = f"; {len(first) - 3} more series are in the table" if len(first) > 3 else ""
    return (
        f"Mean {first[0].quantity} at the first and the last of {len(levels)} values of {factor}:"
        f" {'; '.join(words)}{more}."
    )
