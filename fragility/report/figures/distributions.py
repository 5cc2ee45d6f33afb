"""Values over repeats against a swept factor: repeats as points, the mean with its interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes

from fragility.report import svg
from fragility.report.figures import scale
from fragility.report.palette import BAND, PAPER, RULE, stand_in
from fragility.report.statistics import Mean, geometric_mean, mean_interval

WIDTH, HEIGHT = 340, 260


@dataclass(frozen=True)
class Line:
    """One series: its values at each level of the factor, a colour token and a marker."""

    label: str
    token: str
    marker: str
    values: Mapping[str, Sequence[float]]


def distributions(
    series: Sequence[Line],
    levels: Sequence[str],
    *,
    name: str,
    title: str,
    axis: str,
    quantity: str,
    metric: str = "",
    band: tuple[float, float] | None = None,
    logarithmic: bool = False,
) -> str:
    """Returns points, means and 95 % Student intervals at evenly spaced levels.

    On a logarithmic axis means and intervals are those of the logarithms.
    """
    with svg.style():
        figure = svg.canvas(WIDTH, HEIGHT)
        axes = svg.axes(figure, 56, 10, 8, 48)
        everything = [np.asarray(v, dtype=float) for s in series for v in s.values.values()]
        power = 0 if logarithmic else scale.exponent(everything)
        if band:
            axes.axhspan(*band, color=BAND, linewidth=0)
        if logarithmic:
            axes.set_yscale("log")
        else:
            axes.axhline(0, color=RULE, linewidth=0.5)
        for index, line in enumerate(series):
            _series(axes, index, len(series), line, levels, metric, logarithmic)
        axes.set_xlim(-0.6, len(levels) - 0.4)
        axes.set_xticks(range(len(levels)), [_short(level) for level in levels])
        axes.set_xlabel(axis)
        axes.set_ylabel(f"{quantity}{scale.unit(power)}")
        if not logarithmic:
            scale.ticks(axes.yaxis, power)
        else:
            axes.yaxis.set_major_formatter(lambda x, _: scale.short(x))
            axes.minorticks_off()
        return svg.render(figure, name, title)


def _series(
    axes: Axes,
    index: int,
    of: int,
    line: Line,
    levels: Sequence[str],
    metric: str,
    logarithmic: bool,
) -> None:
    colour = stand_in(line.token)
    room = 0.7 / of
    middle = (index - (of - 1) / 2) * room
    places, means = [], []
    for position, level in enumerate(levels):
        values = np.asarray(line.values.get(level, ()), dtype=float)
        if not values.size:
            continue
        if values.size > 1:
            # A fixed golden-ratio sequence spreads the points evenly and always the same way.
            offset = ((np.arange(values.size) * 0.618034) % 1 - 0.5) * room * 0.7
            axes.scatter(position + middle + offset, values, s=9, color=colour, alpha=0.4,
                         linewidths=0, marker="o")  # fmt: skip
        mean = geometric_mean(values) if logarithmic else mean_interval(values, metric)
        places.append(position + middle)
        means.append(mean)
        _whisker(axes, position + middle, mean, colour)
    axes.plot(places, [m.value for m in means], color=colour, linewidth=0.9, alpha=0.8)
    axes.scatter(
        places, [m.value for m in means], s=36, marker=line.marker, color=colour,
        edgecolors=PAPER, linewidths=0.8, zorder=4,
    )  # fmt: skip


def _whisker(axes: Axes, x: float, mean: Mean, colour: str) -> None:
    if mean.low is not None and mean.high is not None:
        axes.plot([x, x], [mean.low, mean.high], color=colour, linewidth=2, zorder=3)


def _short(level: str, most: int = 8) -> str:
    return level if len(level) <= most else f"{level[: most - 1]}…"
