"""The answer first: sentences with numbers, derived from the rows by the rules in this file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fragility.report.context import Combination, Context, Estimate
from fragility.report.facts import Facts, gather
from fragility.report.parts import DataTable, Section, data_table
from fragility.report.reasons import reasons
from fragility.report.text import (
    count,
    estimate,
    number,
    plural,
    whole,
)
from fragility.store import report_queries as ask

TITLE = "The answer first"
EMPTY: dict[str, Any] = {"compared": "", "reasons": (), "columns": (), "rows": (), "tables": ()}
COLUMNS = 4


def section(context: Context) -> Section:
    """Returns the answer; without any agreement it says why there is none."""
    ranked = [item for item in context.ranked() if item[0] in context.retrained]
    if not ranked:
        return Section("answer", TITLE, EMPTY | {"lead": [_nothing(context)]})
    best, worst = gather(context, ranked[0][0]), gather(context, ranked[-1][0])
    single = len(ranked) == 1
    shown = [gather(context, c) for c, _ in (ranked if len(ranked) <= COLUMNS else _ends(ranked))]
    data: dict[str, Any] = {
        "lead": _lead(context, ranked),
        "compared": "" if single else f"Why, in numbers: {worst.label} beside {best.label}.",
        "reasons": reasons(worst, None if single else best),
        "columns": [facts.label for facts in shown],
        "rows": _table(context, shown),
        "tables": _tables(context),
    }
    return Section("answer", TITLE, data)


def _ends(ranked: Sequence[tuple[Combination, Estimate]]) -> list[tuple[Combination, Estimate]]:
    return [ranked[0], ranked[-1]]


def _tables(context: Context) -> list[DataTable]:
    queries = (ask.AGREEMENT, ask.BASE_MODELS, ask.RETRAININGS, ask.DIAGNOSTICS, ask.PLACEBO)
    return [data_table(context.source.fetch(query)) for query in queries]


def _nothing(context: Context) -> str:
    reasons = context.source.ask(ask.UNDEFINED)
    if reasons:
        return (
            "No agreement between scores and effects has a value. The most frequent reason: "
            f"{reasons[0]['reason']}."
        )
    failed = sum(row["tasks"] for row in context.source.ask(ask.FAILURES))
    if failed:
        return f"No agreement was measured: {plural(failed, 'task')} failed or were skipped."
    return "No agreement was measured in this run."


def _lead(context: Context, ranked: Sequence[tuple[Combination, Estimate]]) -> list[str]:
    best, worst = ranked[0], ranked[-1]
    if len(ranked) == 1:
        return [f"Scores agree with retraining at a {_numbers(context, best)}."]
    overlap = _overlap(best[1], worst[1])
    order = (
        "The two intervals overlap: this study does not order them."
        if overlap
        else "The two intervals do not overlap."
    )
    ends = [f"{context.label(item[0])} ({_numbers(context, item)})" for item in (best, worst)]
    if len(ranked) == 2 and overlap:
        return [f"Scores agree with retraining in {' and in '.join(ends)}. {order}"]
    if len(ranked) == 2:
        return [f"Scores agree better with retraining in {ends[0]} than in {ends[1]}. {order}"]
    what = "arms" if len(context.arms) == len(context.combinations) else "comparisons"
    return [
        f"Of {len(ranked)} {what}, scores agree best with retraining in {ends[0]} and worst in"
        f" {ends[1]}. {order}"
    ]


def _numbers(context: Context, item: tuple[Combination, Estimate]) -> str:
    combination, found = item
    metric = context.primary or ""
    median = "median " if found.n_test and found.n_test > 1 else ""
    words = f"{median}{context.named(metric)} {_estimate(metric, found)}"
    slope = context.estimates.get((combination, "slope"))
    if slope and slope.value is not None:
        words += f", slope {_estimate('slope', slope)}"
    repeats = f"mean of {count(found.defined)} repeats, each " if found.defined > 1 else ""
    tests = f" and {plural(found.n_test, 'test point')}" if found.n_test else ""
    mismatch = context.mismatch(combination)
    words += f"; {mismatch}" if mismatch else ""
    return f"{words}; {repeats}from {plural(found.n or 0, 'training point')}{tests}"


def _estimate(metric: str, found: Estimate) -> str:
    return estimate(metric, found.value, found.low, found.high)


def _overlap(a: Estimate, b: Estimate) -> bool:
    if a.low is None or a.high is None or b.low is None or b.high is None:
        return False
    return a.low <= b.high and b.low <= a.high


def _table(context: Context, shown: Sequence[Facts]) -> list[tuple[str, list[str]]]:
    metric = context.primary or ""

    def share(facts: Facts) -> str:
        if not facts.retrainings:
            return number(None)
        if not facts.judged:
            return "no stopping rule"
        return f"{count(facts.converged)} of {count(facts.retrainings)}"

    def primary(facts: Facts) -> str:
        found = facts.agreement
        return _estimate(metric, found).partition(" ")[0] if found else number(None)

    rows: list[tuple[str, list[str]]] = [
        (context.named(metric), [primary(f) for f in shown]),
        ("slope", [number(f.slope) for f in shown]),
        ("parameters", [whole(f.parameters) for f in shown]),
        ("gradient norm of the base model", [number(f.grad_norm) for f in shown]),
        ("negative Hessian eigenvalues", [whole(f.negative) for f in shown]),
        ("lowest Hessian eigenvalue", [number(f.bottom) for f in shown]),
        ("highest Hessian eigenvalue", [number(f.top) for f in shown]),
        ("retrainings converged", [share(f) for f in shown]),
        ("typical effect (median size)", [number(f.effect) for f in shown]),
        ("placebo effect (median size)", [number(f.placebo) for f in shown]),
        ("noise ceiling", [number(f.ceiling) for f in shown]),
    ]
    return [(name, values) for name, values in rows if any(v != number(None) for v in values)]
