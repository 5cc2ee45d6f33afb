"""Against factors: agreement and the top eigenvalue by swept value, as distributions over repeats.

Figures 1 to 3 of Epifano et al. 2023, signed, with their test and what it leaves open.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass

import numpy as np

from fragility.report.comparisons import Comparison, Family, compare, family
from fragility.report.context import Context, metric_name, spread
from fragility.report.declared import equivalence_margin
from fragility.report.factor_words import METHOD, reading, row, rules
from fragility.report.facts import TOP
from fragility.report.figures.distributions import distributions
from fragility.report.main_effects import main_effect
from fragility.report.palette import MARKERS
from fragility.report.parts import Chart, DataTable, Key, Panel, Section, data_table
from fragility.report.series import Settings, by_level, swept
from fragility.report.source import Row
from fragility.report.statistics import null_band
from fragility.report.text import listing, plural
from fragility.statistics.level_comparison import Unit
from fragility.store import report_queries as ask
from fragility.store.variation_queries import MEASURES, factor_points

SHAPES = ("dot", "square", "triangle", "diamond", "down", "plus")
MOST_SERIES, MOST_LEVELS, MOST_JUDGES, MOST_TESTS = 6, 16, 3, 24


@dataclass(frozen=True)
class Quantity:
    """A metric under one estimator and procedure, or a diagnostic.

    `rows` are the repeats' values, `points` those at each test point.
    """

    name: str
    metric: str
    rows: Sequence[Row]
    points: Sequence[Row]

    @property
    def correlation(self) -> bool:
        """Whether the margin of the study is in this quantity's unit."""
        return self.metric in MEASURES

    @property
    def logarithmic(self) -> bool:
        """Whether it is positive and spans more than an axis of its own shows."""
        values = np.array([row["value"] for row in self.rows], dtype=np.float64)
        values = values[np.isfinite(values)]
        if self.correlation or not values.size:
            return False
        return bool(values.min() > 0 and values.max() > 50 * values.min())


def section(context: Context) -> Section:
    """Returns one chart and one table of tests for every swept factor."""
    factors = swept(context)
    margin = equivalence_margin(context.source.run)
    quantities = {name: list(_quantities(context, name)) for name in factors}
    tests = family(
        [
            comparison
            for name, levels in factors.items()
            for quantity in quantities[name]
            for comparison in _comparisons(context, name, levels, quantity, margin)
        ],
        margin,
    )
    data = {
        "factors": [
            _factor(context, index, name, levels, quantities[name], tests)
            for index, (name, levels) in enumerate(factors.items())
        ],
        "none": _none(context),
        "rules": rules(tests) if tests.tested else "",
        "method": METHOD,
    }
    return Section("factors", "Against factors", data)


def _none(context: Context) -> str:
    if swept(context):
        return ""
    over = "one repeat" if context.repeats <= 1 else plural(context.repeats, "repeat")
    return f"Nothing was swept in this study, and every arm has {over}: there is nothing to draw."


def _comparisons(
    context: Context, factor: str, levels: Sequence[str], quantity: Quantity, margin: float
) -> Iterator[Comparison]:
    settings = Settings(context, factor)
    points = settings.grouped(quantity.points)
    for label, rows in settings.grouped(quantity.rows).items():
        yield compare(
            (factor, quantity.name, label),
            quantity.metric,
            levels,
            by_level(rows),
            _units(points.get(label, ())),
            margin=margin,
            correlation=quantity.correlation,
            logarithmic=quantity.logarithmic,
        )


def _units(rows: Sequence[Row]) -> Mapping[str, dict[Unit, float]]:
    found: dict[str, dict[Unit, float]] = defaultdict(dict)
    for one in rows:
        found[one["factor_value"]][one["repeat"], one.get("test")] = one["value"]
    return found


def _factor(
    context: Context,
    index: int,
    factor: str,
    levels: list[str],
    quantities: Sequence[Quantity],
    tests: Family,
) -> dict[str, object]:
    shown, settings, n = spread(levels, MOST_LEVELS), Settings(context, factor), _n(context)
    found = [one for one in tests.of(factor) if not one.comparison.identical]
    touched = {one.comparison.quantity for one in found}
    panels: list[Panel] = []
    keys: dict[str, Key] = {}
    hidden: set[str] = set()
    for number, quantity in enumerate(_drawn(quantities, touched)):
        lines = settings.lines(quantity.rows)
        hidden |= {line.label for line in lines[MOST_SERIES:]}
        for line in lines[:MOST_SERIES]:
            shape = SHAPES[MARKERS.index(line.marker)]
            keys.setdefault(line.label, Key(line.label, line.token, shape))
        drawing = distributions(
            lines[:MOST_SERIES],
            shown,
            name=f"factor-{index}-{number}",
            title=f"{quantity.name} against {factor}",
            axis=factor.split(".")[-1],
            quantity=quantity.name.partition(" · ")[0],
            metric=quantity.metric,
            band=null_band(quantity.metric, n),
            logarithmic=quantity.logarithmic,
        )
        panels.append(Panel(drawing, quantity.name, "geometric means" * quantity.logarithmic))
    compared = [one for one in found if one.comparison.pairs is not None]
    words = reading(compared, factor, levels, tests.margin)
    if not panels:
        return {"chart": None, "words": words, "tests": [], "more": 0}
    chart = Chart(
        f"factor-{index}",
        f"Agreement and curvature against {factor}",
        panels,
        words,
        _tables(context, factor),
        [*keys.values(), Key(f"what unrelated numbers give (95 %, n = {n})", "band", "band")],
        [
            *_notes(context, levels, shown, hidden),
            *_left(quantities, touched),
        ],
    )
    rows = [row(one, tests.margin) for one in compared]
    return {
        "chart": chart,
        "ends": (levels[0], levels[-1]),
        "averages": [
            average
            for one in quantities
            if one.correlation and one.name in touched
            if (average := main_effect(one.name, settings.grouped(one.rows), levels[0], levels[-1]))
        ],
        "tests": rows[:MOST_TESTS],
        "more": max(0, len(rows) - MOST_TESTS),
    }


def _drawn(quantities: Sequence[Quantity], touched: Set[str]) -> list[Quantity]:
    """Returns the quantities that the factor enters, of each metric those of a few judges."""
    by_metric: dict[str, list[Quantity]] = defaultdict(list)
    for quantity in quantities:
        if quantity.name in touched:
            by_metric[quantity.metric].append(quantity)
    return [one for group in by_metric.values() for one in spread(group, MOST_JUDGES)]


def _left(quantities: Sequence[Quantity], touched: Set[str]) -> list[str]:
    """Returns which quantities are not drawn, and why."""
    measured = [quantity for quantity in quantities if quantity.rows]
    same = [quantity.name for quantity in measured if quantity.name not in touched]
    judges = sum(quantity.name in touched and quantity.correlation for quantity in measured)
    drawn = sum(quantity.correlation for quantity in _drawn(quantities, touched))
    notes = []
    if same:
        notes.append(f"The very same at every value, and left out: {listing(same)}.")
    if drawn < judges:
        notes.append(
            f"Of {judges} correlations {drawn} are drawn; the table and the queries have all."
        )
    return notes


def _quantities(context: Context, factor: str) -> Iterator[Quantity]:
    """Each metric under each estimator and procedure, then the top eigenvalue."""
    for metric in MEASURES:
        cells, points = (
            _by_judge(context.source.ask(query))
            for query in (ask.factor_agreement(factor, metric), factor_points(factor, metric))
        )
        for judge in sorted(cells):
            words = " · ".join((metric_name(metric), *_varying(context, judge)))
            yield Quantity(words, metric, cells[judge], points.get(judge, ()))
    rows = context.source.ask(ask.factor_diagnostic(factor, TOP))
    yield Quantity("top Hessian eigenvalue", TOP, rows, rows)


def _by_judge(rows: Sequence[Row]) -> dict[tuple[str, str], list[Row]]:
    groups: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for one in rows:
        groups[one["estimator"], one["procedure"]].append(one)
    return groups


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


def _tables(context: Context, factor: str) -> list[DataTable]:
    queries = [
        query(factor, metric)
        for metric in MEASURES
        for query in (ask.factor_agreement, factor_points)
    ]
    queries.append(ask.factor_diagnostic(factor, TOP))
    found = [context.source.fetch(query) for query in queries]
    return [data_table(rows) for rows in found if len(rows)]


def _notes(
    context: Context, levels: Sequence[str], shown: Sequence[str], hidden: set[str]
) -> list[str]:
    notes = context.mismatches()
    if len(shown) < len(levels):
        notes.append(f"{len(shown)} of {len(levels)} values are drawn, evenly spaced.")
    if hidden:
        notes.append(f"Not drawn: {listing(sorted(hidden))}; the queries have them.")
    return notes
