"""The loss of one test point along its retrainings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fragility.report import svg
from fragility.report.figures import scale
from fragility.report.palette import INK, stand_in

WIDTH, HEIGHT = 340, 250
Values = NDArray[np.float64]


@dataclass(frozen=True)
class Curve:
    """One retraining: what was removed (None is the placebo), steps and values."""

    removed: str | None
    steps: Values
    values: Values


def curves(lines: Sequence[Curve], *, name: str, title: str, token: str, quantity: str) -> str:
    """Returns thin lines for removals and a dashed one for the placebo."""
    with svg.style():
        figure = svg.canvas(WIDTH, HEIGHT)
        axes = svg.axes(figure, 62, 10, 8, 46)
        low, high = scale.limits([line.values for line in lines])
        power = scale.exponent([np.array([low, high])])
        for line in sorted(lines, key=lambda line: line.removed is None):
            placebo = line.removed is None
            axes.plot(
                line.steps, line.values,
                color=INK if placebo else stand_in(token),
                linewidth=1.8 if placebo else 0.8,
                alpha=1.0 if placebo else 0.45,
                linestyle=(0, (5, 2)) if placebo else "-",
            )  # fmt: skip
        axes.set_ylim(low, high)
        axes.margins(x=0.01)
        scale.ticks(axes.yaxis, power)
        scale.ticks(axes.xaxis)
        axes.set_xlabel("step of the retraining")
        axes.set_ylabel(f"{quantity}{scale.unit(power)}")
        return svg.render(figure, name, title)


def gather(rows: Sequence[Mapping[str, object]], most: int) -> list[Curve]:
    """Returns the rows' curves, each with at most `most` evenly spaced steps and both ends."""
    groups: dict[tuple[str | None, int], list[tuple[float, float]]] = {}
    for row in rows:
        removed = None if row["removed"] is None else str(row["removed"])
        key = (removed, int(str(row["replicate"] or 0)))
        groups.setdefault(key, []).append((float(str(row["step"])), float(str(row["value"]))))
    found = []
    for (removed, _), points in groups.items():
        array = np.array(points)
        array = array[np.isfinite(array).all(axis=1)]
        keep = np.unique(np.linspace(0, len(array) - 1, most).round().astype(int))
        array = array if len(array) <= most else array[keep]
        if len(array):
            found.append(Curve(removed, array[:, 0], array[:, 1]))
    return found
