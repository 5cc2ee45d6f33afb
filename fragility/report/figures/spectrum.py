"""A spectrum as counts on a signed logarithmic axis, with dampings and rounding drawn in."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from fragility.report import svg
from fragility.report.figures.scale import short
from fragility.report.palette import GRID, INK, SOFT, stand_in
from fragility.report.text import number, superscript

WIDTH, HEIGHT = 340, 250
NEGATIVE = "s2"
TICK = 48
"""Pixels that the label of a tick takes."""
DECADE = 4
"""Bins in a decade."""
CROWDED = 30
"""Counts from here on need a logarithmic axis."""
Values = NDArray[np.float64]


@dataclass(frozen=True)
class Damping:
    """What an estimator adds to every eigenvalue of a matrix, in its colour."""

    estimator: str
    matrix: str
    value: float
    token: str


@dataclass(frozen=True)
class Signed:
    """A signed logarithmic scale that is linear within `zero` of 0."""

    zero: float

    def place(self, values: Values) -> Values:
        """Returns where values lie: `zero` at 1, each decade 1 further."""
        size = np.abs(values)
        far = np.log10(np.maximum(size, self.zero) / self.zero) + 1
        return np.where(size < self.zero, values / self.zero, np.sign(values) * far)

    def ticks(self, low: float, high: float, apart: float) -> tuple[list[float], list[str]]:
        """Returns places at least so far `apart`, and labels: 0, powers of ten on each side."""
        places, labels = ([0.0], ["0"]) if low < 0.5 else ([], [])
        first = math.ceil(math.log10(self.zero) - 1e-9)
        step = math.ceil(apart)
        for sign, end in ((1, high), (-1, -low)):
            last = math.floor(math.log10(self.zero) + end - 1 + 1e-9)
            for power in range(last, first - 1, -step):
                at = power - math.log10(self.zero) + 1
                if at >= 0.7 * apart or low >= 0.5:
                    places.append(sign * at)
                    labels.append(f"{'−' if sign < 0 else ''}10{superscript(power)}")
        return places, labels


def scale_of(values: Values, dampings: Sequence[float]) -> Signed:
    """Returns the scale on which eigenvalues, dampings and what float32 rounds away have a place.

    What float64 rounds to 0 lies in its middle.
    """
    largest = float(np.abs(values).max()) or 1.0
    lost = np.finfo(np.float64).eps * len(values) * largest
    known = [*np.abs(values[np.abs(values) > lost]), *(d for d in dampings if d > 0)]
    lowest = min([*known, float(np.finfo(np.float32).eps) * largest])
    return Signed(max(lost, 10 ** math.floor(math.log10(lowest))))


def spectrum(
    values: Values, weights: Values, dampings: Sequence[Damping], *, name: str, title: str
) -> str:
    """Returns how many eigenvalues (k,) with weights (k,) there are of every size and sign."""
    scale = scale_of(values, [damping.value for damping in dampings])
    largest = float(np.abs(values).max())
    places = scale.place(values)
    drawn = scale.place(np.array([d.value for d in dampings if d.value > 0]))
    levels = _levels(largest, len(values), scale)
    ends = [*places, *drawn, *(place for _, place in levels)]
    low, high = min(ends), max(ends)
    low, high = (low - 0.4 if low >= 1 else min(low - 0.4, -1.0)), high + 0.4
    with svg.style():
        figure = svg.canvas(WIDTH, HEIGHT)
        axes = svg.axes(figure, 46, 26, 10, 46)
        axes.set_xlim(low, high)
        _bars(axes, places, weights)
        for label, place in levels:
            axes.axvline(place, color=SOFT, linewidth=1, linestyle=(0, (1, 2)), zorder=1)
            axes.annotate(
                label, (place, 1), (0, 4), xycoords=("data", "axes fraction"), ha="center",
                textcoords="offset points", fontsize=11, color=SOFT, annotation_clip=False,
            )  # fmt: skip
        _dampings(axes, [d for d in dampings if d.value > 0], drawn)
        if low < 0:
            axes.axvspan(-1, 1, color=GRID, linewidth=0, zorder=0.2)
        at, words = scale.ticks(low, high, (high - low) * TICK / (WIDTH - 56))
        axes.set_xticks(at, words)
        axes.set_xlabel("eigenvalue")
        axes.set_ylabel("number")
        ends_said = f"from {number(float(values.min()))} to {number(float(values.max()))}"
        return svg.render(figure, name, f"{title}. Eigenvalues {ends_said}.")


def _levels(largest: float, count: int, scale: Signed) -> list[tuple[str, float]]:
    """Returns where rounding hides eigenvalues, of the precisions that the axis reaches down to."""
    found = []
    for precision in ("float64", "float32"):
        level = float(np.finfo(precision).eps) * largest
        if level * count * 1.001 >= scale.zero:
            found.append((precision, float(scale.place(np.array(level)))))
    return found


def _bars(axes: Axes, places: Values, weights: Values) -> None:
    step = 1 / DECADE
    right = np.arange(1, max(float(places.max()), 1.0) + 2 * step, step)
    edges = np.concatenate([-right[::-1], right])
    counts, _ = np.histogram(places, bins=edges, weights=weights)
    crowded = counts.max() >= CROWDED
    if crowded:
        axes.set_yscale("log")
        axes.set_ylim(0.7, counts.max() * 1.6)
        axes.minorticks_off()
    else:
        axes.set_ylim(0, max(1.0, counts.max()) * 1.08)
        axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.yaxis.set_major_formatter(lambda y, _: short(y))
    middle = len(right) - 1
    for place, count in enumerate(counts):
        if count > 0:
            left, wide = edges[place], edges[place + 1] - edges[place]
            colour = SOFT if place == middle else INK if place > middle else stand_in(NEGATIVE)
            axes.bar(left, count, 0.9 * wide, align="edge", color=colour, linewidth=0, zorder=2)


def _dampings(axes: Axes, dampings: Sequence[Damping], places: Values) -> None:
    """Draws a line for each; those at one place take turns along it."""
    for k, (damping, place) in enumerate(zip(dampings, places, strict=True)):
        sharing = int(np.isclose(places, place).sum())
        before = int(np.isclose(places[:k], place).sum())
        style = "-" if sharing == 1 else (5 * before, (5, 5 * (sharing - 1)))
        axes.axvline(place, color=stand_in(damping.token), linewidth=1.8, linestyle=style, zorder=3)
