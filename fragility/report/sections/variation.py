"""Where the variation comes from: shares of the choices behind every number, in one sentence."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from fragility.report import specification
from fragility.report.context import Context, metric_name
from fragility.report.figures.bars import Bar, bars
from fragility.report.parts import Chart, DataTable, Key, Panel, Section, data_table
from fragility.report.text import FIXED, MISSING, listing, plural
from fragility.report.variation import (
    ESTIMATOR,
    GROUPS,
    MODEL,
    PROCEDURE,
    Shared,
    left_out,
    of_arms,
    of_specifications,
    too_few,
)
from fragility.statistics.decomposition import Decomposition, sentence
from fragility.statistics.estimate import Estimate
from fragility.store.variation_queries import MEASURES, VARIATION

HEADING = "Where the variation comes from"


@dataclass(frozen=True)
class View:
    """One way to count: its title, the number whose variation is shared out, and the shares."""

    title: str
    number: str
    shared: Shared


def section(context: Context) -> Section:
    """Returns the sentences, the figure, and what is withheld."""
    rows = context.source.ask(VARIATION)
    metrics = [metric for metric in MEASURES if any(row["metric"] == metric for row in rows)]
    views = [
        View(
            f"{metric_name(metric)}, as declared",
            f"{metric_name(metric)} correlation",
            of_arms(context, metric),
        )
        for metric in metrics
    ]
    specified, table = _specified(context)
    given = [view for view in [*views, *specified] if view.shared.decomposition is not None]
    scales = [_on_fishers_scale(context, view, m) for view, m in zip(views, metrics, strict=True)]
    data = {
        "lead": [_lead(view) for view in given],
        "chart": _chart(context, given, [scale for scale in scales if scale], table),
        "withheld": _withheld([*views, *specified]),
        "left_out": _left_out(context),
        "nothing": not views,
    }
    return Section("variation", HEADING, data)


def _specified(context: Context) -> tuple[list[View], DataTable | None]:
    """Returns the view over all specifications; pairs are read only where repeats support it."""
    title, number = "every specification", "the correlation over all specifications"
    query, every = specification.pairs_of(context, specification.subjects(context))
    if query is None:
        return [], None
    reason = too_few(context.repeats)
    if reason is not None:
        return [View(title, number, Shared(None, 0, context.repeats, {}, reason))], None
    columns = context.source.columns(query)
    shared = of_specifications(context, specification.by_cell(columns))
    if every > 1:
        title = f"{title}, one in {every} test points"
    table = specification.table(query, columns) if shared.decomposition else None
    return [View(title, number, shared)], table


def _lead(view: View) -> str:
    """Returns the sentence about the procedure, or about the first group that was varied."""
    found = _found(view)
    names = [group for group in GROUPS if found.total(group) is not None]
    said = sentence(found, names[0], view.number).removesuffix(".")
    rest = [f"{_said(found.total(name))} from {_the(name)}" for name in names[1:]]
    rest.append(f"{_said(found.residual)} from what repeats of the same choices differ in")
    return _unbroken(f"{said}, {listing(rest)}.")


def _the(group: str) -> str:
    return group if group == MODEL else f"the {group}"


def _said(found: Estimate | None) -> str:
    """Returns a share with its interval, as the statistics room words it."""
    if found is None or found.value is None or found.low is None or found.high is None:
        return MISSING
    return _unbroken(f"{100 * found.value:.0f} % [{100 * found.low:.0f}, {100 * found.high:.0f}]")


def _unbroken(words: str) -> str:
    """Returns words whose shares do not break across lines."""
    share = r"(\d+) % \[(\d+), (\d+)\]"
    return re.sub(share, rf"\1{FIXED}%{FIXED}[\2,{FIXED}\3]", words)


def _found(view: View) -> Decomposition:
    assert view.shared.decomposition is not None
    return view.shared.decomposition


def _chart(
    context: Context, given: Sequence[View], scales: Sequence[str], table: DataTable | None
) -> Chart | None:
    if not given:
        return None
    tables = [data_table(context.source.fetch(VARIATION))] if scales else []
    if table is not None:
        tables.append(table)
    return Chart(
        "variation-0",
        "Whose choices the variation belongs to",
        [_panel(view, place) for place, view in enumerate(given)],
        _reading(given),
        tables,
        [
            Key("share, with 95 % interval over repeats", "s1", "band"),
            Key("its main effect alone", "ink", "ring"),
        ],
        [*_counted(given), *scales],
    )


def _panel(view: View, place: int) -> Panel:
    found = _found(view)
    main = {part.groups: part.share.value for part in found.parts}
    rows = [
        _bar(group, total, "s1" if group == PROCEDURE else "soft", main[(group,)])
        for group in GROUPS
        if (total := found.total(group)) is not None
    ]
    if found.residual is not None:
        rows.append(_bar("repeats of the same choices", found.residual, "soft", None))
    drawing = bars(
        rows,
        name=f"variation-{place}",
        title=f"Shares of the variation: {view.title}",
        axis="share of the variation",
        bounds=(0.0, 1.0),
    )
    return Panel(drawing, view.title)


def _bar(label: str, found: Estimate, token: str, main: float | None) -> Bar:
    said = _said(found)
    return Bar(label, found, said, f"{label}: {said}", token=token, ring=main)


def _reading(given: Sequence[View]) -> str:
    """Returns which group's share stands clear in each view, and what the interactions hold."""
    titles: dict[str, list[str]] = {}
    for view in given:
        titles.setdefault(_largest(_found(view)), []).append(view.title)
    said = (
        next(iter(titles))
        if len(titles) == 1
        else "; ".join(f"{listing(of)}: {words}" for words, of in titles.items())
    )
    mixed = listing([_said(_found(view).interactions) for view in given])
    return _capital(f"{said}; interactions between choices hold {mixed} of the variation.")


def _largest(found: Decomposition) -> str:
    """Returns which group has the largest share, if its interval lies above all others."""
    totals = sorted(found.totals, key=lambda total: total.share.value or 0.0, reverse=True)
    first, second = totals[0].share, totals[1].share
    if first.low is not None and second.high is not None and first.low > second.high:
        return f"{_the(totals[0].groups[0])} has the largest share of all choices"
    return "the intervals of the largest shares overlap, and this study does not order them"


COUNTED = {
    PROCEDURE: ("way to validate", "ways to validate"),
    ESTIMATOR: ("estimator", "estimators"),
    MODEL: ("setting of model and data", "settings of model and data"),
}


def _counted(views: Sequence[View]) -> list[str]:
    """Returns what was crossed, in one line for views of the same design."""
    titles: dict[str, list[str]] = {}
    for view in views:
        shared = view.shared
        levels = " × ".join(
            plural(count, *COUNTED[group]) for group, count in shared.levels.items() if count > 1
        )
        single = "".join(f"; one {COUNTED[g][0]}, of which nothing is said" for g in shared.single)
        words = (
            f"{levels} × {plural(shared.repeats, 'repeat')}, {plural(shared.values, 'number')}"
            f"{single}."
        )
        titles.setdefault(words, []).append(view.title)
    return [f"{_capital(listing(of))}: {words}" for words, of in titles.items()]


def _capital(words: str) -> str:
    return words[:1].upper() + words[1:]


def _on_fishers_scale(context: Context, view: View, metric: str) -> str:
    """Returns how the first share would read on Fisher's scale, nothing where none is given."""
    if view.shared.decomposition is None:
        return ""
    found = of_arms(context, metric, fisher=True).decomposition
    if found is None:
        return ""
    first = found.totals[0]
    return f"{view.title}, on Fisher's z: {_said(first.share)} from {_the(first.groups[0])}."


def _left_out(context: Context) -> str:
    """Returns which comparisons do not count, or that all count although they mismatch."""
    lines = context.mismatches()
    names = left_out(context)
    if lines and not names:
        return f"Every comparison has a target mismatch; all are counted. {' '.join(lines)}"
    nulls = [name for name in names if name in context.nulls]
    others = [name for name in names if name not in context.nulls]
    words = []
    if others:
        words.append(f"because of a target mismatch with others, {listing(others)}")
    if nulls:
        words.append(f"because they know nothing by design, {listing(nulls)}")
    return f"Not counted, {'; '.join(words)}." if words else ""


def _withheld(views: Sequence[View]) -> list[tuple[str, str]]:
    """Returns the titles of what is not given by reason, those of one reason together."""
    reasons: dict[str, list[str]] = {}
    for view in views:
        if view.shared.reason is not None:
            reasons.setdefault(view.shared.reason, []).append(view.title)
    return [(listing(titles), reason) for reason, titles in reasons.items()]
