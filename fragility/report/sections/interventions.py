"""Tails, doses and proxies: what studies ask beside the removal of single examples."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from fragility.report.context import Context, natural, spread
from fragility.report.figures.tails import Tail, tails
from fragility.report.parts import Chart, Key, Panel, Section, data_table
from fragility.report.source import Row
from fragility.report.statistics import t_half_width
from fragility.report.text import estimate, metric_value, number, percent
from fragility.store import intervention_queries as ask

PANELS = 6
RIVALS = {
    "random": "drawn at random",
    "top_loss": "highest training loss",
    "gradient_norm": "longest gradient",
}
MARKERS, SHAPES = ("s", "^", "D"), ("square", "triangle", "diamond")
MOST = 10.0


def section(context: Context) -> Section:
    """Returns curves of removal, tables of doses and of planted labels; empty without any."""
    data = {
        "tails": _tails(context),
        "doses": _doses(context),
        "found": _found(context),
        "tables": [
            data_table(rows)
            for rows in map(context.source.fetch, (ask.DOSES, ask.FOUND))
            if len(rows)
        ],
    }
    shown = any(data[name] for name in ("tails", "doses", "found"))
    return Section("interventions", "Tails, doses and proxies" if shown else "", data)


def _tails(context: Context) -> Chart | None:
    rows = context.source.fetch(ask.TAILS)
    if not len(rows):
        return None
    groups: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in rows.dicts:
        groups[row["arm"], row["procedure"]].append(row)
    keys = sorted(groups, key=lambda key: (natural(key[0]), natural(key[1])))
    drawn = spread(keys, PANELS)
    lines = {key: _lines(context, groups[key]) for key in drawn}
    panels = []
    for index, (arm, procedure) in enumerate(drawn):
        words = context.procedure_label(arm, procedure)
        picture = tails(
            lines[arm, procedure], name=f"tails-{index}", title=words, quantity="mean effect"
        )
        panels.append(Panel(picture, words))
    rules = {line.rule: line for key in drawn for line in lines[key]}
    legend = [
        Key(RIVALS.get(rule, f"highest scores of {rule}"), line.token or "ink",
            "line" if line.token else SHAPES[list(RIVALS).index(rule)])
        for rule, line in rules.items()
    ]  # fmt: skip
    notes = ["Bars: 95 % over repeats, and over the draws of the random rule, where several are."]
    if len(drawn) < len(keys):
        notes.append(f"{len(drawn)} of {len(keys)} settings are drawn; the query has all.")
    reading = " ".join(_tail_words(context, key, groups[key]) for key in drawn[:2])
    return Chart(
        "tails", "What removing the top does", panels, reading, [data_table(rows)], legend, notes
    )


def _lines(context: Context, rows: Sequence[Row]) -> list[Tail]:
    found = []
    rules = sorted({row["rule"] for row in rows}, key=lambda rule: (rule in RIVALS, natural(rule)))
    for rule in rules:
        own = sorted((row for row in rows if row["rule"] == rule), key=lambda row: row["members"])
        half = [
            t_half_width(row["deviation"], row["groups"]) if row["groups"] > 1 else math.nan
            for row in own
        ]
        found.append(
            Tail(
                rule,
                np.array([row["size"] for row in own]),
                np.array([row["effect"] for row in own]),
                np.array(half),
                None if rule in RIVALS else context.colours.get(rule, "soft"),
                MARKERS[list(RIVALS).index(rule)] if rule in RIVALS else "o",
            )
        )
    return found


def _tail_words(context: Context, key: tuple[str, str], rows: Sequence[Row]) -> str:
    """Returns what the largest size does, by each rule, best first."""
    most = max(row["members"] for row in rows)
    last = [row for row in rows if row["members"] == most]
    last.sort(key=lambda row: -abs(row["effect"]))
    words = [f"{RIVALS.get(row['rule'], row['rule'])} {number(row['effect'])}" for row in last]
    share = percent(last[0]["size"])
    label = context.procedure_label(*key)
    return f"Mean effects in {label} with {share} removed: {'; '.join(words)}."


def _doses(context: Context) -> list[dict[str, str]]:
    return [
        {
            "arm": context.arm_label(row["arm"]),
            "estimator": row["estimator"],
            "procedure": row["procedure"],
            "weight": "–" if row["weight_taken"] is None else f"{row['weight_taken']:g}",
            "pearson": metric_value("pearson", row["pearson"]),
            "slope": metric_value("slope", row["slope"]),
            "left": _left_over(row["left_over"]),
        }
        for row in context.source.ask(ask.DOSES)
    ]


def _left_over(share: float | None) -> str:
    if share is None:
        return "–"
    # Scores without a unit can be off by any factor; which one tells nothing.
    return percent(share) if share <= MOST else f"over {percent(MOST)}"


def _found(context: Context) -> list[dict[str, str]]:
    found = []
    for row in context.source.ask(ask.FOUND):
        value, low, high = row["value"], row["ci_low"], row["ci_high"]
        if row["repeats"] > 1 and value is not None:
            half = t_half_width(row["deviation"], row["repeats"])
            low, high = max(0.0, value - half), min(1.0, value + half)
        found.append(
            {
                "arm": context.arm_label(row["arm"]),
                "estimator": row["estimator"],
                "procedure": row["procedure"],
                "value": row["reason"] or ""
                if value is None
                else estimate("auc", value, low, high),
                "chance": number(row["chance"]),
                "beats": "yes" if low is not None and low > row["chance"] else "no",
            }
        )
    return found
