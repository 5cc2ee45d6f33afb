"""Effects by one half of the replicates against the same effects by the other half."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fragility.report import svg
from fragility.report.figures import scale
from fragility.report.palette import RULE, SOFT, stand_in

WIDTH, HEIGHT = 340, 300
Values = NDArray[np.float64]


def halves(
    first: Values, second: Values, hover: Sequence[str], *, name: str, title: str, token: str
) -> str:
    """Returns one dot a removal on equal axes, with the line on which both halves agree."""
    with svg.style():
        figure = svg.canvas(WIDTH, HEIGHT)
        axes = svg.axes(figure, 58, 8, 14, 48)
        limits = scale.limits([first, second])
        axes.set_xlim(limits)
        axes.set_ylim(limits)
        axes.axhline(0, color=RULE, linewidth=0.5)
        axes.axvline(0, color=RULE, linewidth=0.5)
        axes.axline((0, 0), slope=1, color=SOFT, linewidth=1, linestyle=(0, (1, 2)))
        axes.scatter(
            first, second, s=float(np.clip(1500 / max(first.size, 1), 10, 36)),
            color=stand_in(token), alpha=0.75, linewidths=0, gid="halves", zorder=3,
        )  # fmt: skip
        power = scale.exponent([first, second])
        for axis, words in ((axes.xaxis, "first half"), (axes.yaxis, "second half")):
            scale.ticks(axis, power)
            axis.set_label_text(f"effect by the {words}{scale.unit(power)}")
        return svg.render(figure, name, f"{title}. {first.size} removals.", {"halves": hover})
