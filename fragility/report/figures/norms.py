"""How near to a stationary point trainings ended: one row an arm on a logarithmic axis."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator

from fragility.report import svg
from fragility.report.figures.scale import power
from fragility.report.palette import GRID, INK, PAPER, SOFT
from fragility.report.text import number

WIDTH, ROW = 340, 36


@dataclass(frozen=True)
class Norms:
    """Gradient norms of an arm's retrainings (five numbers) and of its base models (median)."""

    label: str
    lowest: float | None
    lower: float | None
    median: float | None
    upper: float | None
    highest: float | None
    base: float | None


def norms(rows: Sequence[Norms], *, name: str, title: str) -> str:
    """Returns range, quartiles and median of the retrainings, and a ring for the base model."""
    with svg.style():
        figure = svg.canvas(WIDTH, ROW * len(rows) + 54)
        axes = svg.axes(figure, 8, 4, 12, 48)
        known = [x for row in rows for x in _values(row)]
        low, high = (min(known), max(known)) if known else (1e-8, 1.0)
        axes.set_xscale("log")
        axes.set_xlim(low / 2, high * 2 if high * 2 > low / 2 * 10 else low * 10)
        axes.set_ylim(len(rows) - 0.3, -0.8)
        for y, row in enumerate(rows):
            axes.axhline(y, color=GRID, linewidth=0.6, zorder=0.5)
            axes.annotate(
                row.label, (0, y), (0, 6), xycoords=("axes fraction", "data"),
                textcoords="offset points", fontsize=12.5, color=INK,
            )  # fmt: skip
            _draw(axes, y, row)
        decades = math.log10(high / low) if low > 0 else 1
        axes.xaxis.set_major_locator(LogLocator(numticks=5 if decades > 4 else 8))
        axes.xaxis.set_major_formatter(lambda x, _: power(x))
        axes.minorticks_off()
        axes.yaxis.set_visible(False)
        axes.spines["left"].set_visible(False)
        axes.set_xlabel("gradient norm where training ended")
        words = "; ".join(f"{row.label}: median {number(row.median)}" for row in rows)
        return svg.render(figure, name, f"{title}. {words}")


def _values(row: Norms) -> list[float]:
    every = (row.lowest, row.lower, row.median, row.upper, row.highest, row.base)
    return [x for x in every if x is not None and math.isfinite(x) and x > 0]


def _draw(axes: Axes, y: int, row: Norms) -> None:
    def ok(*values: float | None) -> bool:
        return all(v is not None and math.isfinite(v) and v > 0 for v in values)

    if ok(row.lowest, row.highest):
        axes.plot([row.lowest or 0, row.highest or 0], [y, y], color=SOFT, linewidth=1)
    if ok(row.lower, row.upper):
        axes.plot([row.lower or 0, row.upper or 0], [y, y], color=INK, linewidth=4,
                  solid_capstyle="butt")  # fmt: skip
    if ok(row.median):
        axes.scatter([row.median or 0], [y], s=30, color=INK, edgecolors=PAPER, linewidths=1,
                     zorder=3)  # fmt: skip
    if ok(row.base):
        axes.scatter([row.base or 0], [y], s=52, marker="D", facecolors="none", edgecolors=INK,
                     linewidths=1.2, zorder=4)  # fmt: skip
