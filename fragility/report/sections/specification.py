"""Specification: how far the procedure alone moves the number, and where published ones stand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from fragility.protocols import (
    AGGREGATIONS,
    METRICS,
    REMOVALS,
    TESTS,
    WORDS,
    Number,
    Rescored,
    Specification,
    words,
)
from fragility.report.context import Context, natural, spread
from fragility.report.figures import specification as figure
from fragility.report.figures.specification import Item, Line
from fragility.report.parts import Chart, Key, Panel, Section
from fragility.report.specification import COLUMNS, Specifications, Specified, build
from fragility.report.text import estimate, listing, metric_value, plural
from fragility.statistics.ceiling import Ceiling
from fragility.statistics.null_band import null_half_width

HEADINGS = {
    "tests": "test points",
    "removals": "removals",
    "truth": "truth",
    "measure": "metric",
    "aggregation": "average",
}
SHORT = {
    "all": "all",
    "max_loss": "largest loss",
    "median_loss": "median loss",
    "random": "random",
    "top_size": "top |score|",
    "top_score": "top score",
    "top_loss": "top training loss",
    "band": "30th percentile",
    "pearson": "Pearson",
    "spearman": "Spearman",
    "|spearman|": "|Spearman|",
    "per_test": "per test point",
    "pooled": "pooled",
    "of_means": "of means",
}
UNEQUAL = "≠"
INTERVALS = (
    "Intervals: percentiles of 200 resamples of repeats, test points and removals at once; what a"
    " rule has chosen stays chosen."
)
LONG = {
    "all": "all of them",
    "max_loss": "that of the largest loss",
    "median_loss": "that of the median loss",
    "random": "random ones",
    "top_size": "those of the largest |score|",
    "top_score": "those of the largest score",
    "band": "those around the 30th percentile of |score|",
    "per_test": "an average over test points",
    "pooled": "all pairs pooled",
    "of_means": "means over repeats",
}
ORDER: Mapping[str, tuple[str, ...]] = {
    "tests": TESTS,
    "removals": (*REMOVALS, "top_loss"),
    "truth": (),
    "measure": METRICS,
    "aggregation": AGGREGATIONS,
}


@dataclass(frozen=True)
class _Entry:
    """A specification of the grid, or a protocol by its name."""

    specification: Specification
    name: str = ""


def section(context: Context) -> Section:
    """Returns the specification section."""
    found = build(context)
    curves = [one for one in found.shown if len(one.curve.specifications) > 1]
    drawn = [one for one in curves if one.drawn]
    several = len({one.estimator for one in found.shown}) > 1
    data = {
        "charts": [
            (_chart(context, found, one, place, several), *_panels(one, context, place))
            for place, one in enumerate(drawn)
        ],
        "ranges": [_range(context, one) for one in curves] if len(curves) > len(drawn) else [],
        "rest": found.subjects - len(found.shown),
        "protocols": [_protocols(context, one, several) for one in found.shown if one.protocols],
        "declared": any(one.protocols for one in found.shown),
    }
    return Section("specification", "Specification curve", data)


def _label(context: Context, one: Specified, several: bool) -> str:
    arm = context.arm_label(one.arm)
    return f"{arm} · {one.estimator}" if several else arm


def _chart(
    context: Context, found: Specifications, one: Specified, place: int, several: bool
) -> Chart:
    notes = []
    if found.every > 1:
        notes.append(f"Of more than 10⁶ pairs, those of one in {found.every} test points are read.")
    if len(one.curve.specifications) > COLUMNS:
        notes.append(
            f"{COLUMNS} of {len(one.curve.specifications)} specifications are drawn, evenly spaced."
        )
    if one.curve.undefined:
        notes.append(f"{plural(one.curve.undefined, 'specification')} had no value.")
    moved = [
        f"{_choice_of(dimension)} {_value(low)} ({_option(lowest)}) to {_value(high)}"
        f" ({_option(highest)})"
        for dimension, lowest, low, highest, high in one.curve.attribution()
    ]
    if len(moved) > 1:
        notes.append(f"Means over all other choices: {'; '.join(moved)}.")
    notes.append(
        INTERVALS
        if any(s.number.low is not None for s in one.curve.specifications)
        else "There are too many pairs to draw them again for intervals on a page."
    )
    badges = {s.procedure: s.mismatch for s in one.curve.mismatched}
    notes += [f"{UNEQUAL} {procedure}: {badge}." for procedure, badge in badges.items()]
    keys = [
        Key("one way to make the number", context.colours[one.estimator], "dot"),
        Key("without its sign", context.colours[one.estimator], "ring"),
        Key("95 % interval", context.colours[one.estimator], "line"),
        Key("what as many unrelated pairs of a test point give (95 %)", "band", "band"),
    ]
    if one.curve.mismatched:
        keys.insert(2, Key("target mismatch", "soft", "dot"))
    if any(r.specification is not None for r in one.protocols.values()):
        keys.append(Key("published protocol", "ink", "diamond"))
    return Chart(
        f"specification-{place}",
        f"What the procedure alone does: {_label(context, one, several)}",
        (),
        reading(one, _label(context, one, several)),
        [found.table] if found.table else [],
        keys,
        notes,
    )


def reading(one: Specified, label: str) -> str:
    """Returns the sentence below the curve."""
    signed = one.curve.signed
    low, high = (_words(end.number) for end in (signed[0], signed[-1]))
    middle = float(np.median([s.number.value for s in signed]))
    said = (
        f"With the models and the estimator of {label} held fixed, the procedure alone moves the"
        f" correlation from {low} to {high} (median {_value(middle)},"
        f" {plural(len(signed), 'specification')} that keep the sign)"
    )
    apart = _apart(one)
    most = one.curve.attribution()
    if not most:
        return f"{said}.{apart}"
    dimension, lowest, least, highest, greatest = most[0]
    return (
        f"{said}; the choice of {_choice_of(dimension)} moves it most: on average"
        f" {_value(least)} with {_option(lowest)} and {_value(greatest)} with {_option(highest)}."
        f"{apart}"
    )


def _apart(one: Specified) -> str:
    """Returns a sentence on the specifications whose truth moves other parameters, if any."""
    mismatched = one.curve.mismatched
    if not mismatched:
        return ""
    badges = listing(sorted({s.mismatch for s in mismatched}))
    if len(mismatched) == len(one.curve.specifications):
        return f" All of them are about other parameters ({badges})."
    count = plural(len(mismatched), "specification")
    return f" {count} about other parameters ({badges}) are drawn and not counted."


def _choice_of(dimension: str) -> str:
    return {"measure": "metric", "aggregation": "average"}.get(dimension, HEADINGS[dimension])


def _value(value: float) -> str:
    return metric_value("pearson", value)


def _words(number: Number) -> str:
    return estimate("pearson", number.value, number.low, number.high)


def _option(choice: str) -> str:
    procedure, _, truth = choice.partition("\n")
    if truth:
        return f"{procedure}, {WORDS['truth'][truth]}"
    return LONG.get(choice, SHORT[choice])


def _panels(one: Specified, context: Context, place: int) -> tuple[Panel, Panel]:
    """Returns the wide and the narrow drawing."""
    entries = _entries(one)
    lines, rows = _lines(entries)
    items = [_item(entry, rows) for entry in entries]
    token = context.colours[one.estimator]
    wide, narrow = (
        Panel(
            figure.curve(
                items,
                lines,
                name=f"specification-{place}-{n}",
                token=token,
                width=w,
            )
        )
        for n, w in (("wide", figure.WIDE), ("narrow", figure.NARROW))
    )
    return wide, narrow


def _entries(one: Specified) -> list[_Entry]:
    entries = [_Entry(s) for s in spread(one.curve.specifications, COLUMNS)]
    for kind, found in one.protocols.items():
        if found.specification is not None:
            entries.append(_Entry(found.specification, kind))
    return sorted(entries, key=lambda e: (e.specification.number.value, e.name))


def _lines(entries: list[_Entry]) -> tuple[list[Line], dict[tuple[str, str], int]]:
    """Returns the rows of the matrix, and the row of every choice of a dimension."""
    lines: list[Line] = []
    rows: dict[tuple[str, str], int] = {}
    for place, (dimension, heading) in enumerate(HEADINGS.items()):
        present = {entry.specification.choices[place] for entry in entries}
        unequal = {
            entry.specification.choices[place]
            for entry in entries
            if dimension == "truth" and entry.specification.mismatch
        }
        options = [o for o in ORDER[dimension] if o in present] or sorted(present, key=natural)
        procedures = [o.partition("\n")[0] for o in options]
        lines.append(Line(heading, heading=True))
        for option in options:
            rows[dimension, option] = len(lines)
            alone = procedures.count(option.partition("\n")[0]) == 1
            mark = f"{UNEQUAL} " if option in unequal else ""
            lines.append(Line(f"{mark}{_short(option, alone)}"))
    return lines, rows


def _short(option: str, alone: bool) -> str:
    procedure, _, truth = option.partition("\n")
    if not truth:
        return SHORT[option]
    label = procedure if len(procedure) <= 14 else f"{procedure[:13]}…"
    return label if alone else f"{label}, {'mean' if truth == 'mean' else 'one'}"


def _item(entry: _Entry, rows: dict[tuple[str, str], int]) -> Item:
    one = entry.specification
    said = f"{entry.name or 'specification'}: {_words(one.number)}; {one.procedure};"
    badge = f"; {one.mismatch}" if one.mismatch else ""
    law: Ceiling = "pearson" if one.rule.measure == "pearson" else "spearman"
    return Item(
        one.number.value,
        tuple(rows[d, c] for d, c in zip(HEADINGS, one.choices, strict=True)),
        f"{said} {words(one.rule)}{badge}",
        hollow=one.rule.measure == "|spearman|",
        name=entry.name,
        low=one.number.low,
        high=one.number.high,
        chance=null_half_width(one.number.n, kind=law) or 1.0,
        apart=bool(one.mismatch),
    )


def _range(context: Context, one: Specified) -> dict[str, str]:
    signed = one.curve.signed
    return {
        "label": context.arm_label(one.arm),
        "estimator": one.estimator,
        "token": context.colours[one.estimator],
        "low": _value(signed[0].number.value),
        "median": _value(float(np.median([s.number.value for s in signed]))),
        "high": _value(signed[-1].number.value),
        "n": str(len(signed)),
    }


def _protocols(context: Context, one: Specified, several: bool) -> dict[str, object]:
    rows = [_protocol(kind, found) for kind, found in one.protocols.items()]
    return {"label": _label(context, one, several), "rows": rows}


def _protocol(kind: str, found: Rescored) -> dict[str, str]:
    one = found.specification
    if one is None:
        return {"kind": kind, "value": "", "interval": "", "n": "", "words": found.reason or "",
                "mismatch": ""}  # fmt: skip
    value, _, bounds = _words(one.number).partition(" [")
    return {
        "kind": kind,
        "value": value,
        "interval": bounds and f"[{bounds}",
        "mismatch": one.mismatch,
        "n": f"{one.number.n} × {one.number.tests} × {one.number.repeats}",
        "words": f"{words(one.rule)}; truth: {one.procedure}.",
    }
