"""Horizontal bars with intervals, one row a step: words above each bar, its number at the right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes

from fragility.report import svg
from fragility.report.figures import scale
from fragility.report.palette import BAND, GRID, INK, PAPER, RULE, SOFT, stand_in
from fragility.statistics.estimate import Estimate

WIDTH, ROW = 340, 44
HALF = 0.12


@dataclass(frozen=True)
class Bar:
    """One row: a value with its interval as a bar, and marks on it.

    `ring` is a second value (an open circle), `tick` a limit (an upright line); pale bars behind
    are a size to compare with (`behind`), or what a correlation stays within by chance (`band`).
    `shown` is the number at the right, `hover` what a reader is told.
    """

    label: str
    value: Estimate
    shown: str
    hover: str
    token: str = "soft"
    ring: float | None = None
    tick: float | None = None
    behind: float | None = None
    band: tuple[float, float] | None = None


def bars(
    rows: Sequence[Bar], *, name: str, title: str, axis: str, bounds: tuple[float, float] | None
) -> str:
    """Returns one bar a row from zero; with `bounds` the axis ends there."""
    with svg.style():
        figure = svg.canvas(WIDTH, ROW * len(rows) + 52)
        axes = svg.axes(figure, 8, 4, 10, 48)
        low, high = _limits(rows, bounds)
        axes.set_xlim(low, high)
        axes.set_ylim(len(rows) - 0.62, -0.66)
        axes.axvline(0, color=RULE, linewidth=0.8)
        power = 0 if bounds else scale.exponent([[low, high]])
        for y, row in enumerate(rows):
            axes.axhline(y + 0.33, color=GRID, linewidth=0.6, zorder=0.5)
            _words(axes, y, row)
            _draw(axes, y, row, low, high)
        scale.ticks(axes.xaxis, power)
        axes.yaxis.set_visible(False)
        axes.spines["left"].set_visible(False)
        axes.set_xlabel(f"{axis}{scale.unit(power)}")
        hover = {
            f"bar{y}": [row.hover] for y, row in enumerate(rows) if row.value.value is not None
        }
        label = f"{title}. {'; '.join(row.hover for row in rows)}"
        return svg.render(figure, name, label, hover)


def _words(axes: Axes, y: int, row: Bar) -> None:
    for x, words, side, colour in ((0, row.label, "left", INK), (1, row.shown, "right", SOFT)):
        axes.annotate(
            words, (x, y), (0, 10), xycoords=("axes fraction", "data"), ha=side,
            textcoords="offset points", fontsize=12.5, color=colour,
        )  # fmt: skip


def _draw(axes: Axes, y: int, row: Bar, left: float, right: float) -> None:
    found = row.value
    if row.band is not None:
        axes.barh(y, row.band[1] - row.band[0], 3.2 * HALF, left=row.band[0], color=BAND,
                  linewidth=0)  # fmt: skip
    if row.behind is not None:
        axes.barh(y, row.behind, 3.2 * HALF, color=BAND, linewidth=0)
    if found.value is not None:
        colour = stand_in(row.token)
        axes.barh(y, found.value, 2 * HALF, color=colour, alpha=0.5, linewidth=0)
        if found.low is not None and found.high is not None:
            ends = [max(found.low, left), min(found.high, right)]
            axes.plot(ends, [y, y], color=INK, linewidth=1.3, solid_capstyle="butt")
        axes.scatter([found.value], [y], s=26, color=colour, edgecolors=PAPER, linewidths=0.8,
                     zorder=3, clip_on=False, gid=f"bar{y}")  # fmt: skip
    if row.ring is not None:
        axes.scatter([row.ring], [y], s=34, marker="o", facecolors="none", edgecolors=INK,
                     linewidths=1.1, zorder=4, clip_on=False)  # fmt: skip
    if row.tick is not None:
        axes.plot([row.tick] * 2, [y - 0.19, y + 0.19], color=INK, linewidth=1.6, zorder=4)


def _limits(rows: Sequence[Bar], bounds: tuple[float, float] | None) -> tuple[float, float]:
    ends = [
        end
        for row in rows
        for end in (
            *(row.value.value, row.value.low, row.value.high, row.ring, row.tick, row.behind),
            *(row.band or ()),
        )
        if end is not None
    ]
    low, high = min([0.0, *ends]), max([0.0, *ends])
    if bounds:
        return (max(low - 0.04, bounds[0]) if low < 0 else 0.0), bounds[1]
    return low, high * 1.04 or 1.0
