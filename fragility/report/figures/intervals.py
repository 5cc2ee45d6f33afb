"""Dots with intervals, one row an arm: the label above its line so that the plot stays narrow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from fragility.report import svg
from fragility.report.figures.scale import short
from fragility.report.palette import BAND, GRID, INK, PAPER, SOFT, stand_in
from fragility.report.text import estimate

WIDTH, ROW = 340, 36


@dataclass(frozen=True)
class Dot:
    """One row: a value with its interval, the noise ceiling, a colour token, a reason if none.

    `chance` is what unrelated lists give on average, `band` what they stay within.
    """

    label: str
    value: float | None
    low: float | None
    high: float | None
    ceiling: float | None = None
    token: str = "c1"
    reason: str | None = None
    chance: float | None = None
    band: tuple[float, float] | None = None


def forest(
    rows: Sequence[Dot],
    *,
    name: str,
    metric: str,
    reference: float | None = None,
    floor: float | None = None,
) -> str:
    """Returns dots with intervals; what lies below `floor` is an arrow at the edge.

    Each row's band is shaded; `reference` is a thin line (perfect agreement).
    """
    with svg.style():
        figure = svg.canvas(WIDTH, ROW * len(rows) + 34)
        axes = svg.axes(figure, 8, 4, 8, 30)
        low, high = _limits(rows, reference, floor)
        axes.set_xlim(low, high)
        axes.set_ylim(len(rows) - 0.25, -0.75)
        if reference is not None:
            axes.axvline(reference, color=SOFT, linewidth=0.8, linestyle=(0, (1, 2)))
        for y, row in enumerate(rows):
            axes.axhline(y, color=GRID, linewidth=0.6, zorder=0.5)
            if row.band:
                axes.fill_betweenx([y - 0.14, y + 0.14], *row.band, color=BAND, linewidth=0,
                                   zorder=0.6)  # fmt: skip
            axes.annotate(
                _shorten(row.label), (0, y), (0, 6), xycoords=("axes fraction", "data"),
                textcoords="offset points", fontsize=12.5, color=INK,
            )  # fmt: skip
            _draw(axes, y, row, low)
        axes.xaxis.set_major_locator(MaxNLocator(5, min_n_ticks=3))
        axes.xaxis.set_major_formatter(lambda x, _: short(round(x, 9)))
        axes.yaxis.set_visible(False)
        axes.spines["left"].set_visible(False)
        words = [f"{row.label}: {estimate(metric, row.value, row.low, row.high)}" for row in rows]
        hover = {f"row{y}": [words[y]] for y, row in enumerate(rows) if row.value is not None}
        return svg.render(figure, name, "; ".join(words), hover)


def _draw(axes: Axes, y: int, row: Dot, left: float) -> None:
    colour = stand_in(row.token)
    if row.value is None:
        axes.annotate(
            "no value", (1, y), (0, -4), xycoords=("axes fraction", "data"), ha="right",
            textcoords="offset points", fontsize=12, color=SOFT, style="italic",
        )  # fmt: skip
        return
    if row.low is not None and row.high is not None and row.high >= left:
        axes.plot([max(row.low, left), row.high], [y, y], color=colour, linewidth=2)
    clipped = row.value < left
    axes.scatter(
        [left if clipped else row.value], [y], s=34, marker="<" if clipped else "o", color=colour,
        edgecolors=PAPER, linewidths=0.8, zorder=3, clip_on=False, gid=f"row{y}",
    )  # fmt: skip
    if row.chance is not None and row.chance >= left:
        axes.plot([row.chance] * 2, [y - 0.12, y + 0.12], color=SOFT, linewidth=0.8)
    if row.ceiling is not None:
        axes.plot([row.ceiling] * 2, [y - 0.16, y + 0.16], color=INK, linewidth=1.2)


def _limits(
    rows: Sequence[Dot],
    reference: float | None,
    floor: float | None,
) -> tuple[float, float]:
    known = [
        x
        for row in rows
        for x in (row.value, row.low, row.high, row.ceiling, row.chance, *(row.band or ()))
        if x is not None
    ]
    known += [] if reference is None else [reference]
    known = known or [0.0, 1.0]
    low, high = min(known), max(known)
    if floor is not None:
        low = max(low, floor)
    pad = 0.04 * (high - low) or 0.1 * max(abs(high), 1e-12)
    return low - pad, high + pad


def _shorten(label: str, most: int = 48) -> str:
    return label if len(label) <= most else f"{label[: most - 1]}…"
