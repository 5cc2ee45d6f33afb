"""Ours beside published: means with intervals over a setting, and every run with its quartiles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator

from fragility.report import svg
from fragility.report.figures import scale
from fragility.report.palette import PAPER, RULE, SOFT, stand_in
from fragility.report.statistics import geometric_mean, mean_interval

WIDTH, HEIGHT = 340, 260
GOLDEN = 0.618034
PUBLISHED = "soft"
"""Colour token of what is published, whatever colour ours has."""


@dataclass(frozen=True)
class Series:
    """The runs of one side at each level, a colour token and a marker."""

    label: str
    token: str
    marker: str
    values: Mapping[str, Sequence[float]]


@dataclass(frozen=True)
class Frame:
    """What panels that belong together share: levels, axis labels, limits, and what chance is.

    A line joins the levels where `joined`: where they are steps of one thing.
    """

    levels: Sequence[str]
    axis: str
    quantity: str
    metric: str
    logarithmic: bool
    low: float
    high: float
    chance: float | None = None
    joined: bool = True


def frame_of(
    series: Sequence[Series],
    levels: Sequence[str],
    axis: str,
    quantity: str,
    metric: str,
    *,
    logarithmic: bool,
    chance: float | None,
) -> Frame:
    """Returns the frame that holds all runs of the series."""
    runs = [np.asarray(v, dtype=np.float64) for one in series for v in one.values.values()]
    runs = [run for run in runs if run.size]
    if logarithmic:
        low, high = (10**end for end in scale.limits([np.log10(run) for run in runs]))
    else:
        low, high = scale.limits([*runs, np.zeros(1)])
    return Frame(levels, axis, quantity, metric, logarithmic, low, high, chance)


def means(
    series: Sequence[Series], frame: Frame, *, name: str, title: str, width: int = WIDTH
) -> str:
    """Returns means over runs with 95 % Student intervals, of logarithms on a logarithmic axis."""
    with svg.style():
        figure = svg.canvas(width, HEIGHT)
        axes = _axes(svg.axes(figure, 66, 10, 8, 48), frame)
        for index, one in enumerate(series):
            shift = 0.36 * (index - (len(series) - 1) / 2) / max(len(series), 1)
            _line(axes, one, frame, shift)
        return svg.render(figure, name, title)


def strips(series: Sequence[Series], frame: Frame, *, name: str, title: str) -> str:
    """Returns every run as a point, the quartiles as a box and the median as a line."""
    with svg.style():
        figure = svg.canvas(WIDTH, HEIGHT)
        axes = _axes(svg.axes(figure, 66, 10, 8, 48), frame)
        room = 0.8 / max(len(series), 1)
        for index, one in enumerate(series):
            for position, level in enumerate(frame.levels):
                values = np.asarray(one.values.get(level, ()), dtype=np.float64)
                if values.size:
                    middle = position + (index - (len(series) - 1) / 2) * room
                    _strip(axes, middle, values, stand_in(one.token), room)
        return svg.render(figure, name, title)


def _axes(axes: Axes, frame: Frame) -> Axes:
    everything = [np.array([frame.low, frame.high])]
    power = 0 if frame.logarithmic else scale.exponent(everything)
    if frame.logarithmic:
        axes.set_yscale("log")
    elif frame.low < 0:
        axes.axhline(0, color=RULE, linewidth=0.5)
    if frame.chance is not None:
        axes.axhline(frame.chance, color=SOFT, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
    axes.set_xlim(-0.6, len(frame.levels) - 0.4)
    axes.set_ylim(frame.low, frame.high)
    axes.set_xticks(range(len(frame.levels)), [_short(level) for level in frame.levels])
    axes.set_xlabel(frame.axis)
    axes.set_ylabel(f"{frame.quantity}{scale.unit(power)}")
    if frame.logarithmic:
        few = frame.high < 100 * frame.low
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if few else (1,), numticks=8))
        axes.yaxis.set_major_formatter(lambda x, _: scale.power(x) if not few else scale.short(x))
        axes.minorticks_off()
    else:
        scale.ticks(axes.yaxis, power)
    return axes


def _line(axes: Axes, one: Series, frame: Frame, shift: float) -> None:
    colour = stand_in(one.token)
    places, centres = [], []
    for position, level in enumerate(frame.levels):
        values = np.asarray(one.values.get(level, ()), dtype=np.float64)
        if not values.size:
            continue
        mean = geometric_mean(values) if frame.logarithmic else mean_interval(values, frame.metric)
        places.append(position + shift)
        centres.append(mean.value)
        if mean.low is not None and mean.high is not None:
            ends = np.clip([mean.low, mean.high], frame.low, frame.high)
            axes.plot([position + shift] * 2, ends, color=colour, linewidth=2, zorder=3)
    if frame.joined:
        axes.plot(places, centres, color=colour, linewidth=0.9, alpha=0.8)
    axes.scatter(places, centres, s=36, marker=one.marker, color=colour, edgecolors=PAPER,
                 linewidths=0.8, zorder=4)  # fmt: skip


def _strip(axes: Axes, middle: float, values: np.ndarray, colour: str, room: float) -> None:
    width = 0.8 * room
    # A fixed golden-ratio sequence spreads the points evenly and always the same way.
    offset = ((np.arange(values.size) * GOLDEN) % 1 - 0.5) * 0.8 * width
    axes.scatter(middle + offset, values, s=7, color=colour, alpha=0.45, linewidths=0, marker="o")
    low, median, high = np.quantile(values, [0.25, 0.5, 0.75])
    if values.size > 3:
        axes.bar(middle, high - low, width, low, color=colour, alpha=0.18, linewidth=0, zorder=2)
    ends = [middle - width / 2, middle + width / 2]
    axes.plot(ends, [median, median], color=colour, linewidth=2.2, zorder=4)


def _short(level: str, most: int = 8) -> str:
    return level if len(level) <= most else f"{level[: most - 1]}…"
