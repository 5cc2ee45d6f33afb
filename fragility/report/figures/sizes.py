"""The sizes of effects on a logarithmic axis, with those of the placebo behind."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator
from numpy.typing import NDArray

from fragility.report import svg
from fragility.report.figures import scale
from fragility.report.palette import BAND, INK, SOFT, stand_in
from fragility.report.text import number

WIDTH, HEIGHT = 340, 190
BINS = 44
Values = NDArray[np.float64]


def sizes(effects: Values, placebo: Values, *, name: str, title: str, token: str) -> str:
    """Returns both distributions of size, each scaled to its highest bin, with their medians.

    Zeros have no place on the axis.
    """
    effect, nothing = (np.abs(values[values != 0]) for values in (effects, placebo))
    known = np.concatenate([effect, nothing])
    low, high = (float(known.min()), float(known.max())) if known.size else (0.1, 1.0)
    low, high = low / 1.5, max(high * 1.5, low * 10)
    edges = np.geomspace(low, high, BINS + 1)
    with svg.style():
        figure = svg.canvas(WIDTH, HEIGHT)
        axes = svg.axes(figure, 10, 8, 12, 46)
        axes.set_xscale("log")
        axes.set_xlim(low, high)
        axes.set_ylim(0, 1.06)
        _bins(axes, nothing, edges, SOFT, BAND, 1.0)
        _bins(axes, effect, edges, stand_in(token), stand_in(token), 0.28)
        _median(axes, nothing, INK, dashed=True)
        _median(axes, effect, stand_in(token), dashed=False)
        decades = math.log10(high / low)
        axes.xaxis.set_major_locator(LogLocator(numticks=5 if decades > 4 else 8))
        axes.xaxis.set_major_formatter(lambda x, _: scale.power(x))
        axes.minorticks_off()
        axes.yaxis.set_visible(False)
        axes.spines["left"].set_visible(False)
        axes.set_xlabel("size of the change")
        medians = (number(float(np.median(v)) if v.size else None) for v in (effect, nothing))
        words = "{}. Median size of an effect {}, of the placebo {}.".format(title, *medians)
        return svg.render(figure, name, words)


def _bins(axes: Axes, values: Values, edges: Values, line: str, fill: str, opacity: float) -> None:
    counts, _ = np.histogram(values, bins=edges)
    if not counts.any():
        return
    share = counts / counts.max()
    axes.stairs(share, edges, fill=True, color=fill, alpha=opacity, linewidth=0)
    axes.stairs(share, edges, color=line, linewidth=1)


def _median(axes: Axes, values: Values, colour: str, *, dashed: bool) -> None:
    if values.size:
        style = (0, (5, 2)) if dashed else "-"
        axes.axvline(float(np.median(values)), color=colour, linewidth=1.6, linestyle=style)
