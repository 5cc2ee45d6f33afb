"""The specification curve: sorted values above, the choices that made each below."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from fragility.report import svg
from fragility.report.figures.scale import short
from fragility.report.palette import BAND, GRID, INK, PAPER, RULE, SOFT, stand_in
from fragility.report.text import metric_value

NARROW, WIDE = 360, 860
LABEL, ROW = 15, 17


@dataclass(frozen=True)
class Item:
    """One way to make the number: its value, its rows of the matrix.

    `name` marks a published protocol; `hollow` is a correlation without its sign; `chance` is what
    unrelated numbers stay within; `apart` is one about other parameters than the score's.
    """

    value: float
    rows: tuple[int, ...]
    words: str
    hollow: bool = False
    name: str = ""
    low: float | None = None
    high: float | None = None
    chance: float = 0.0
    apart: bool = False


@dataclass(frozen=True)
class Line:
    """A row of the matrix: a choice, or the heading above some."""

    label: str
    heading: bool = False


def curve(
    items: Sequence[Item],
    lines: Sequence[Line],
    *,
    name: str,
    token: str,
    width: int,
) -> str:
    """Returns dots by ascending value over the matrix of choices, `width` CSS pixels wide.

    What unrelated numbers stay within is shaded; intervals are upright lines.
    """
    named = [place for place, item in enumerate(items) if item.name]
    left = 132 if width == NARROW else 156
    tall = 190 if width == NARROW else 250
    levels = _levels(named, items, (width - left - 14) / max(1, len(items)), width - left)
    head = LABEL * (max(levels, default=-1) + 1) + 8
    foot = ROW * len(lines) + 12
    with svg.style():
        figure = svg.canvas(width, head + tall + foot)
        values = svg.axes(figure, left, head, 14, foot)
        matrix = svg.axes(figure, left, head + tall + 8, 14, 4)
        for axes in (values, matrix):
            axes.set_xlim(-0.5, max(len(items) - 0.5, 0.5))
            axes.xaxis.set_visible(False)
            for place in named:
                axes.axvline(place, color=RULE, linewidth=0.7, zorder=0.6)
        _values(values, items, token, width)
        for place, level in zip(named, levels, strict=True):
            _label(values, place, items[place], level, len(items))
        _matrix(matrix, items, lines, token)
        hover = {f"protocol{place}": [items[place].words] for place in named}
        if width == WIDE:
            hover["specifications"] = [
                i.words for i in items if not (i.hollow or i.name or i.apart)
            ]
        summary = f"{len(items)} specifications from {_said(items[0])} to {_said(items[-1])}"
        known = {gid: texts for gid, texts in hover.items() if texts}
        return svg.render(figure, name, summary, known)


def _said(item: Item) -> str:
    return metric_value("pearson", item.value)


def _named(item: Item) -> str:
    return f"{item.name} {_said(item)}{' ≠' if item.apart else ''}"


def _values(axes: Axes, items: Sequence[Item], token: str, width: int) -> None:
    places = np.arange(len(items))
    value = np.array([item.value for item in items])
    chance = np.array([item.chance for item in items])
    edges = np.arange(len(items) + 1) - 0.5
    axes.stairs(chance, edges, baseline=-chance, fill=True, color=BAND, linewidth=0, zorder=0.4)
    axes.axhline(0, color=RULE, linewidth=0.8, zorder=0.7)
    size = float(np.clip((2400 if width == NARROW else 3600) / max(1, len(items)), 7, 30))
    hollow = np.array([item.hollow for item in items])
    named = np.array([bool(item.name) for item in items])
    apart = np.array([item.apart for item in items])
    plain = ~hollow & ~named & ~apart
    colour = stand_in(token)
    _intervals(axes, items, colour, width)
    axes.scatter(
        places[plain], value[plain], s=size, color=colour, linewidths=0, gid="specifications",
        zorder=2,
    )  # fmt: skip
    other = ~hollow & ~named & apart
    axes.scatter(places[other], value[other], s=size, color=SOFT, linewidths=0, zorder=2)
    for chosen, edge in ((hollow & ~named & ~apart, colour), (hollow & ~named & apart, SOFT)):
        axes.scatter(
            places[chosen], value[chosen], s=size, facecolors=PAPER, edgecolors=edge,
            linewidths=0.8, zorder=1.9,
        )  # fmt: skip
    for place in np.flatnonzero(named):
        axes.scatter(
            [place], [value[place]], s=44, marker="D", color=INK, edgecolors=PAPER, linewidths=1,
            zorder=4, gid=f"protocol{place}", clip_on=False,
        )  # fmt: skip
    lowest = [item.low for item in items if item.low is not None]
    low = min([-float(chance.max(initial=0.0)), float(value.min()), *lowest])
    high = max(1.0, float(value.max()))
    axes.set_ylim(low - 0.03 * (high - low), high + 0.02)
    axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
    axes.yaxis.set_major_formatter(lambda y, _: short(round(y, 9)))
    axes.grid(axis="y", color=GRID, linewidth=0.6)
    axes.spines[["left", "bottom"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.set_ylabel("correlation")


def _intervals(axes: Axes, items: Sequence[Item], colour: str, width: int) -> None:
    room = 0.4 if width == WIDE else 0.3
    thin = float(np.clip(room * width / max(1, len(items)), 0.4, 1.6))
    for apart in (False, True):
        known = [
            (place, item.low, item.high)
            for place, item in enumerate(items)
            if item.low is not None and item.high is not None and item.apart == apart
        ]
        if known:
            places, low, high = zip(*known, strict=True)
            axes.vlines(places, low, high, color=SOFT if apart else colour, linewidth=thin,
                        alpha=0.38, zorder=1)  # fmt: skip
    for place, item in enumerate(items):
        if item.name and item.low is not None and item.high is not None:
            axes.vlines([place], item.low, item.high, color=INK, linewidth=1.5, zorder=3)


def _label(axes: Axes, place: int, item: Item, level: int, count: int) -> None:
    right = place > count / 2
    axes.annotate(
        _named(item), (place, 1), (3 if not right else -3, 4 + LABEL * level),
        xycoords=("data", "axes fraction"), textcoords="offset points", fontsize=12, color=INK,
        ha="right" if right else "left", annotation_clip=False, zorder=6,
        bbox={"facecolor": PAPER, "edgecolor": "none", "pad": 0.6},
    )  # fmt: skip
    axes.annotate(
        "", (place, 1), (0, 4 + LABEL * (level + 1) - 3), xycoords=("data", "axes fraction"),
        textcoords="offset points", annotation_clip=False,
        arrowprops={"arrowstyle": "-", "color": RULE, "linewidth": 0.7, "shrinkA": 0, "shrinkB": 0},
    )  # fmt: skip


def _levels(named: Sequence[int], items: Sequence[Item], step: float, room: float) -> list[int]:
    """Returns a line of text for each label so that no two of a line touch."""
    ends: list[list[tuple[float, float]]] = []
    found = []
    for place in named:
        at = place * step
        wide = 7.4 * len(_named(items[place])) + 18
        span = (at - wide, at) if place > len(items) / 2 else (at, at + wide)
        level = 0
        # A leader crosses the lines below its label: those must be free at its place too.
        while level < len(ends) and any(
            span[0] < high and low < span[1] for low, high in ends[level]
        ):
            level += 1
        if level == len(ends):
            ends.append([])
        ends[level].append(span)
        for below in range(level):
            ends[below].append((at - 1, at + 1))
        found.append(level)
    return found


def _matrix(axes: Axes, items: Sequence[Item], lines: Sequence[Line], token: str) -> None:
    axes.set_ylim(len(lines) - 0.5, -0.5)
    axes.set_yticks([])
    axes.spines[["left", "bottom"]].set_visible(False)
    for y, line in enumerate(lines):
        axes.annotate(
            line.label, (0, y), (-8, -4), xycoords=("axes fraction", "data"), ha="right",
            textcoords="offset points", fontsize=11.5, color=SOFT if line.heading else INK,
            style="italic" if line.heading else "normal", annotation_clip=False,
        )  # fmt: skip
        if line.heading:
            axes.axhline(y, color=GRID, linewidth=0.6, zorder=0.5)
            continue
        marks = np.array([k for k, item in enumerate(items) if y in item.rows], dtype=float)
        xs = np.repeat(marks, 3)
        ys = np.tile([y - 0.34, y + 0.34, np.nan], marks.size)
        thick = float(np.clip(0.62 * 200 / max(1, len(items)), 0.7, 3))
        axes.plot(xs, ys, color=stand_in(token), linewidth=thick, solid_capstyle="butt")
        own = [k for k, item in enumerate(items) if y in item.rows and item.name]
        axes.scatter(own, [y] * len(own), s=15, marker="D", color=INK, edgecolors=PAPER,
                     linewidths=0.6, zorder=3)  # fmt: skip
