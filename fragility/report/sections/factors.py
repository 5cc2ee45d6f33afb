"""Against factors: agreement and the top eigenvalue by swept value, as distributions over repeats.

Figures 1 to 3 of Epifano et al. 2023, signed.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fragility.report.context import Context, metric_name, natural, spread
from fragility.report.facts import TOP
from fragility.report.figures.distributions import Line, distributions
from fragility.report.palette import MARKERS, SERIES
from fragility.report.parts import Chart, Key, Panel, Section, data_table
from fragility.report.source import Row
from fragility.report.statistics import anova, mean_interval, null_band, trend
from fragility.report.text import interval, listing, number, p_value, plural
from fragility.store import report_queries as ask

SHAPES = ("dot", "square", "triangle", "diamond", "down", "plus")
MOST_SERIES, MOST_LEVELS, METRICS = 6, 16, ("pearson", "spearman")


@dataclass(frozen=True)
class Test:
    """One series of one quantity over the levels: first and last mean, trend and ANOVA."""

    quantity: str
    series: str
    first: str
    last: str
    trend: str
    anova: str


def section(context: Context) -> Section:
    """Returns one chart and one table of tests for every swept factor."""
    factors = swept(context)
    charts = [_chart(context, i, name, levels) for i, (name, levels) in enumerate(factors.items())]
    return Section("factors", "Against factors", {"factors": charts, "none": _none(context)})


def swept(context: Context) -> Mapping[str, list[str]]:
    """Returns every factor that takes several values, with its values in natural order."""
    found: dict[str, set[str]] = defaultdict(set)
    for cell in context.cells:
        for name, value in json.loads(cell["factors"] or "{}").items():
            found[name].add(as_text(value))
    return {
        name: sorted(values, key=natural)
        for name, values in sorted(found.items())
        if len(values) > 1
    }


def as_text(value: object) -> str:
    """Returns a factor's value as DuckDB's `->>` gives it."""
    return value if isinstance(value, str) else json.dumps(value)


def _none(context: Context) -> str:
    if swept(context):
        return ""
    over = "one repeat" if context.repeats <= 1 else plural(context.repeats, "repeat")
    return f"Nothing was swept in this study, and every arm has {over}: there is nothing to draw."


def _chart(context: Context, index: int, factor: str, levels: list[str]) -> dict[str, object]:
    shown = spread(levels, MOST_LEVELS)
    quantities = [
        (m, metric_name(m), ask.factor_agreement(factor, m))
        for m in METRICS
        if m in context.metrics
    ]
    quantities.append((TOP, "top Hessian eigenvalue", ask.factor_diagnostic(factor, TOP)))
    panels, tests, tables, notes = [], [], [], []
    keys: dict[str, Key] = {}
    for quantity, words, query in quantities:
        rows = context.source.fetch(query)
        if not len(rows):
            continue
        tables.append(data_table(rows))
        lines = series(context, factor, rows.dicts)
        drawn = lines[:MOST_SERIES]
        if len(drawn) < len(lines):
            notes.append(
                f"{words}: {len(drawn)} of {len(lines)} series are drawn; the query has all."
            )
        for line in drawn:
            shape = SHAPES[MARKERS.index(line.marker)]
            keys.setdefault(line.label, Key(line.label, line.token, shape))
        band = null_band(quantity, _n(context)) if quantity in METRICS else None
        panels.append(_panel(drawn, shown, f"factor-{index}-{quantity}", words, factor, band))
        tests += [_test(words, line, levels) for line in lines]
    if len(shown) < len(levels):
        notes.append(f"{len(shown)} of {len(levels)} values are drawn, evenly spaced.")
    title = f"Agreement and curvature against {factor}"
    reading = _reading(tests, factor, levels)
    listed = [*keys.values(), Key("what unrelated numbers give (95 %)", "band", "band")]
    chart = Chart(f"factor-{index}", title, panels, reading, tables, listed, notes)
    return {"chart": chart, "tests": tests[:24], "more": max(0, len(tests) - 24)}


def _n(context: Context) -> int:
    return min((e.n for e in context.estimates.values() if e.n), default=0)


def _panel(
    lines: Sequence[Line],
    levels: Sequence[str],
    name: str,
    words: str,
    factor: str,
    band: tuple[float, float] | None,
) -> Panel:
    values = np.concatenate([np.asarray(v) for line in lines for v in line.values.values()])
    wide = band is None and values.min() > 0 and values.max() / values.min() > 50
    drawing = distributions(
        lines, levels, name=name, title=f"{words} against {factor}", axis=factor.split(".")[-1],
        quantity=words, band=band, logarithmic=bool(wide),
    )  # fmt: skip
    return Panel(drawing, words)


def series(context: Context, factor: str, rows: Sequence[Row]) -> list[Line]:
    """Returns one line for every setting apart from the factor and the repeat.

    A setting's words are the parts that vary among the rows.
    """
    parts = ("dataset", "model", "regularization", "training", "others", "estimator", "procedure")
    keyed = [(_setting(row, factor, parts), row) for row in rows]
    varying = [i for i in range(len(parts)) if len({key[i] for key, _ in keyed}) > 1]
    values: dict[tuple[str, ...], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for key, row in keyed:
        if row["factor_value"] is not None and np.isfinite(row["value"]):
            values[key][row["factor_value"]].append(row["value"])
    labels = {key: " · ".join(key[i] for i in varying) or "all cells" for key in values}
    order = sorted(values, key=lambda key: natural(labels[key]))
    return [
        Line(labels[key], SERIES[i % len(SERIES)], MARKERS[i % len(MARKERS)], values[key])
        for i, key in enumerate(order)
    ]


def _setting(row: Row, factor: str, parts: Sequence[str]) -> tuple[str, ...]:
    others = {k: v for k, v in json.loads(row["factors"] or "{}").items() if k != factor}
    words = ", ".join(f"{k.split('.')[-1]}={as_text(v)}" for k, v in sorted(others.items()))
    return tuple(words if part == "others" else str(row[part] or "") for part in parts)


def _test(quantity: str, line: Line, levels: Sequence[str]) -> Test:
    present = [level for level in levels if line.values.get(level)]
    groups = [np.asarray(line.values[level], dtype=float) for level in present]
    ranks = np.concatenate([np.full(g.size, float(levels.index(lv)))
                            for lv, g in zip(present, groups, strict=True)])  # fmt: skip
    found = anova(groups)
    return Test(
        quantity,
        line.label,
        _mean(present[0], groups[0]),
        _mean(present[-1], groups[-1]),
        number(trend(ranks, np.concatenate(groups))),
        f"F = {number(found[0])}, {p_value(found[1])}" if found else "needs repeats",
    )


def _mean(
    level: str, values: Sequence[float] | np.ndarray[tuple[int], np.dtype[np.float64]]
) -> str:
    mean = mean_interval(values)
    return f"{level}: {number(mean.value)} {interval(mean.low, mean.high)}".strip()


def _reading(tests: Sequence[Test], factor: str, levels: Sequence[str]) -> str:
    if not tests:
        return f"No value was measured at any of the {len(levels)} values of {factor}."
    first = [test for test in tests if test.quantity == tests[0].quantity]
    words = [
        f"{test.series}, mean {test.quantity} goes from {test.first.partition(': ')[2]} at"
        f" {test.first.partition(':')[0]} to {test.last.partition(': ')[2]} at"
        f" {test.last.partition(':')[0]} (rank trend {test.trend})"
        for test in first[:3]
    ]
    more = f"; {len(first) - 3} more series are in the table" if len(first) > 3 else ""
    return f"Along {factor} = {listing(levels, 8)}: {'; '.join(words)}{more}."
