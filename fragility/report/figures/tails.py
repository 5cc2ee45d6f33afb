"""Effects of removing ever more of the top, one line a rule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fragility.report import svg
from fragility.report.figures import scale
from fragility.report.palette import INK, PAPER, SOFT, stand_in

WIDTH, HEIGHT = 340, 250
DASHES = (0, (5, 2))
Values = NDArray[np.float64]


@dataclass(frozen=True)
class Tail:
    """One rule: shares of the training set, mean effects, and half widths (NaN: none).

    `token` is the colour of an estimator; a rival without one is dashed, with a marker of its own.
    """

    rule: str
    sizes: Values
    effects: Values
    half: Values
    token: str | None
    marker: str = "o"


def tails(lines: Sequence[Tail], *, name: str, title: str, quantity: str) -> str:
    """Returns the lines with their intervals; 0 is what removing nothing would do."""
    with svg.style():
        figure = svg.canvas(WIDTH, HEIGHT)
        axes = svg.axes(figure, 62, 10, 10, 48)
        ends = [np.concatenate([t.effects - _width(t), t.effects + _width(t)]) for t in lines]
        low, high = scale.limits([*ends, np.zeros(1)])
        power = scale.exponent([np.array([low, high])])
        axes.axhline(0, color=SOFT, linewidth=0.8)
        for line in lines:
            colour = INK if line.token is None else stand_in(line.token)
            axes.errorbar(
                line.sizes * 100, line.effects, yerr=_width(line), color=colour,
                linewidth=1.1 if line.token is None else 1.7, elinewidth=1.1,
                linestyle=DASHES if line.token is None else "-",
                marker=line.marker, markersize=4.5,
                markerfacecolor=PAPER if line.token is None else colour,
                zorder=3 if line.token is None else 4,
            )  # fmt: skip
        axes.set_ylim(low, high)
        scale.ticks(axes.yaxis, power)
        scale.ticks(axes.xaxis)
        axes.set_xlabel("share of the training set removed (%)")
        axes.set_ylabel(f"{quantity}{scale.unit(power)}")
        return svg.render(figure, name, title)


def _width(line: Tail) -> Values:
    return np.nan_to_num(line.half)
