"""The paper's figures 1 and 3 from recorded values, and what all figures of the page are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from fragility.references.declared import Quantity
from fragility.report.context import natural
from fragility.report.figures.published import Series, frame_of, means
from fragility.report.palette import MARKERS, SERIES
from fragility.report.reproduction.families import AXES, Family, Side, Study
from fragility.statistics.null_band import null_mean_absolute
from fragility.store.report_queries import text

SIDES: Mapping[Side, str] = {
    "published": "published",
    "ours": "as published, by us",
    "corrected": "corrected",
}
NUMBERS: Mapping[Quantity, int] = {"spearman": 1, "hessian_top_eigenvalue": 3}
NAMES: Mapping[Quantity, tuple[str, str]] = {
    "spearman": ("Spearman", "spearman"),
    "hessian_top_eigenvalue": ("top eigenvalue", "eigenvalue"),
}
COLOURS = {
    "paper": "#fdfcf9", "ink": "#1d1c1a", "soft": "#625e56", "rule": "#a8a398", "grid": "#e4e0d6",
    "band": "#ece8dd", "s1": "#3c3489", "s2": "#b9505f", "s3": "#17702f", "s4": "#87842b",
    "s5": "#7d2350", "s6": "#2f8478",
}  # fmt: skip
MARKS = dict(
    zip(
        MARKERS,
        (
            "blue circles",
            "red squares",
            "green triangles",
            "olive diamonds",
            "plum wedges",
            "teal pluses",
        ),
        strict=True,
    )
)
"""In words the markers, each in the colour of its place in `SERIES`."""


@dataclass(frozen=True)
class Panel:
    """The name of a file, what it shows in words, and the SVG."""

    file: str
    title: str
    svg: str


@dataclass(frozen=True)
class Drawn:
    """A figure: a title, what each marker is, its panels, and where its rows come from.

    `name` is what links point at; `sql` returns the rows of ours from the files of the page,
    `studies` are those whose commands made them.
    """

    name: str
    title: str
    keys: tuple[str, ...]
    panels: tuple[Panel, ...]
    note: str = ""
    sql: str = ""
    studies: tuple[Study, ...] = ()


def figures(families: Sequence[Family], folder: str) -> list[Drawn]:
    """Returns Spearman's correlation and the top eigenvalue against depth and width, by reading."""
    iris = [one for one in families if one.key.startswith("IRIS/")]
    found = []
    for quantity, number in NUMBERS.items():
        for axis in AXES:
            here = [one for one in iris if one.axis == axis]
            theirs = [one for one in here if str(number) in one.published.figure]
            others = [one for one in here if one not in theirs]
            for prefix, heading, members in (
                (f"figure-{number}", f"Figure {number}", theirs),
                ("beside", "Not in the paper's figures", others),
            ):
                one = _drawn(prefix, heading, quantity, axis, members)
                made = _studies(members)
                found.append(replace(one, sql=rows_of_all(made, folder, quantity), studies=made))
    return [one for one in found if one.panels]


def _drawn(
    prefix: str, heading: str, quantity: Quantity, axis: str, families: Sequence[Family]
) -> Drawn:
    sides: list[Side] = ["published", "ours"]
    if quantity == "spearman":
        sides.append("corrected")
    drawn: dict[Side, list[Series]] = {
        side: [_series(family, i, side, quantity) for i, family in enumerate(families)]
        for side in sides
    }
    levels = sorted({setting.level for f in families for setting in f.settings}, key=natural)
    everything = [one for side in sides for one in drawn[side] if one.values]
    name, short = NAMES[quantity]
    keys: dict[str, None] = {}
    panels = []
    for side in sides:
        series = [one for one in drawn[side] if one.values]
        if not series:
            continue
        correlation = quantity == "spearman"
        frame = frame_of(
            everything, levels, axis,
            f"|{name}|" if correlation and side != "corrected" else name,
            f"|{quantity}|" if correlation else "",
            logarithmic=not correlation,
            chance=_chance(families) if correlation and side != "corrected" else None,
        )  # fmt: skip
        title = f"{name} against {axis}, {SIDES[side]}"
        told = [f"{MARKS[one.marker]}: {one.label}" for one in series]
        keys |= dict.fromkeys(told)
        file = f"{prefix}-{short}-{axis}-{side}.svg"
        words = f"{title}. {'; '.join(told)}"
        drawing = means(series, frame, name=file.removesuffix(".svg"), title=words)
        panels.append(Panel(file, title, alone(drawing)))
    return Drawn(
        f"{prefix}-{short}-{axis}", f"{heading}, {name} against {axis}", tuple(keys), tuple(panels)
    )


def rows_of_all(studies: Sequence[Study], folder: str, quantity: Quantity) -> str:
    """Returns the query for one quantity of the base models, or of the judged pairs, of studies."""
    if not studies:
        return ""
    files = ", ".join(text(f"{folder}/{one.name}.parquet") for one in studies)
    if quantity == "hessian_top_eigenvalue":
        metrics = "('hessian_top_eigenvalue', 'hessian_bottom_eigenvalue')"
        return (
            f"SELECT study, arm, repeat, metric, value FROM read_parquet([{files}])"
            f" WHERE metric IN {metrics} ORDER BY ALL"
        )
    return (
        f"SELECT study, arm, estimator, procedure, repeat, value FROM read_parquet([{files}])"
        f" WHERE metric = '{quantity}' ORDER BY ALL"
    )


def _studies(families: Sequence[Family]) -> tuple[Study, ...]:
    found = {family.study.name: family.study for family in families if family.study}
    return tuple(found.values())


def _series(family: Family, place: int, side: Side, quantity: Quantity) -> Series:
    values = family.values(side, quantity)
    sized = side != "corrected"
    return Series(
        family.published.title,
        SERIES[place % len(SERIES)],
        MARKERS[place % len(MARKERS)],
        {k: (np.abs(v[v != 0]) if sized else v).tolist() for k, v in values.items()},
    )


def _chance(families: Sequence[Family]) -> float | None:
    pairs = [row["pairs"] for f in families if f.study for row in f.study.correlations
             if row["pairs"]]  # fmt: skip
    return null_mean_absolute(min(pairs)) if pairs else None


def alone(drawing: str) -> str:
    """Returns the SVG with a ground and colours of its own."""
    for token, colour in COLOURS.items():
        drawing = drawing.replace(f"var(--{token})", colour)
    opened, rest = drawing.split(">", 1)
    opened = opened.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" font-family="serif" ')
    ground = f'<rect width="100%" height="100%" fill="{COLOURS["paper"]}" />'
    return f"{opened}>{ground}{rest}\n"
