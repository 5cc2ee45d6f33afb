"""Reliability against the number of replicates: what was measured, and what more would give."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from matplotlib.ticker import FixedLocator, NullLocator

from fragility.report import svg
from fragility.report.palette import BAND, GRID, INK, PAPER, RULE, SOFT, stand_in
from fragility.report.text import count
from fragility.statistics.estimate import Estimate
from fragility.statistics.split_half import spearman_brown

WIDTH, HEIGHT = 340, 250
STEPS = 80
TICKS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000)


@dataclass(frozen=True)
class Line:
    """Reliability of one replicate, of the mean over the `replicates` there are, and of halves.

    `half` is the correlation between halves: what half of the replicates reach.
    """

    single: Estimate
    mean: Estimate
    replicates: int
    half: float | None
    needed: int | None


def reliability(line: Line, *, target: float, name: str, title: str, token: str) -> str:
    """Returns the curve of Spearman and Brown with its interval, and the target's line."""
    most = max(2 * line.replicates, round(1.5 * min(line.needed or 0, 60_000)))
    places = np.geomspace(1, most, STEPS)
    with svg.style():
        figure = svg.canvas(WIDTH, HEIGHT)
        axes = svg.axes(figure, 42, 10, 14, 48)
        axes.set_xscale("log")
        axes.set_xlim(0.93, most * 1.07)
        axes.set_ylim(0, 1.02)
        axes.grid(axis="y", color=GRID, linewidth=0.6)
        colour = stand_in(token)
        if line.single.low is not None and line.single.high is not None:
            low, high = (_curve(end, places) for end in (line.single.low, line.single.high))
            axes.fill_between(places, low, high, color=BAND, linewidth=0)
        if line.single.value is not None:
            axes.plot(places, _curve(line.single.value, places), color=colour, linewidth=1.6)
        axes.axhline(target, color=INK, linewidth=1, linestyle=(0, (5, 3)))
        if line.needed is not None and line.needed <= most:
            axes.plot([line.needed] * 2, [0, target], color=SOFT, linewidth=1)
            axes.annotate(
                count(line.needed), (line.needed, 0), (4, 5), textcoords="offset points",
                fontsize=12.5, color=INK,
            )  # fmt: skip
        if line.half is not None and line.replicates > 3:
            axes.scatter([line.replicates // 2], [max(line.half, 0)], s=34, marker="o",
                         facecolors=PAPER, edgecolors=INK, linewidths=1.1, zorder=4)  # fmt: skip
        if line.mean.value is not None:
            if line.mean.low is not None and line.mean.high is not None:
                axes.plot([line.replicates] * 2, [line.mean.low, line.mean.high], color=colour,
                          linewidth=2, zorder=3)  # fmt: skip
            axes.scatter([line.replicates], [line.mean.value], s=40, color=colour,
                         edgecolors=PAPER, linewidths=0.8, zorder=5)  # fmt: skip
        axes.xaxis.set_major_locator(FixedLocator([tick for tick in TICKS if tick <= most]))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(lambda x, _: count(round(x)))
        axes.spines["bottom"].set_color(RULE)
        axes.set_xlabel("replicates")
        axes.set_ylabel("reliability")
        return svg.render(figure, name, title)


def _curve(single: float, places: np.ndarray) -> list[float]:
    return [spearman_brown(single, float(place)) for place in places]
