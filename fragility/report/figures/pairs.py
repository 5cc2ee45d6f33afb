"""Score against effect, and both against the rank of the training point."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fragility.report import svg
from fragility.report.figures import scale
from fragility.report.pairs import Pairs
from fragility.report.palette import INK, RULE, SOFT, stand_in
from fragility.report.statistics import line

WIDTH = 340
COMPARABLE = 5.0


def comparable(pairs: Pairs) -> bool:
    """Returns whether score and effect are of one size, so that they can share an axis."""
    score, effect = np.abs(pairs.score).max(), np.abs(pairs.effect).max()
    return bool(score > 0 and effect > 0 and 1 / COMPARABLE < score / effect < COMPARABLE)


def scatter(pairs: Pairs, *, name: str, title: str, token: str) -> str:
    """Returns effect against score with identity line, fitted line and marginal counts.

    The placebo's effect is a dashed horizontal; bars are the extremes over replicates. Axes are
    equal where score and effect are of one size.
    """
    with svg.style():
        figure = svg.canvas(WIDTH, 310)
        main = svg.axes(figure, 56, 34, 36, 46)
        colour = stand_in(token)
        x, y = pairs.score, pairs.effect
        placebo = [] if pairs.placebo is None else [pairs.placebo]
        shared = comparable(pairs)
        across, up = [x], [y, pairs.low, pairs.high, np.array(placebo)]
        both = scale.limits([*across, *up])
        main.set_xlim(both if shared else scale.limits(across))
        main.set_ylim(both if shared else scale.limits(up))
        _reference_lines(main, pairs, colour)
        if pairs.replicates > 1:
            main.vlines(x, pairs.low, pairs.high, color=colour, linewidth=0.7, alpha=0.5)
        main.scatter(
            x, y, s=_size(x.size), color=colour, alpha=0.7, linewidths=0, gid="pairs", zorder=3
        )
        _label(main, pairs, shared)
        _marginals(figure, main, pairs, colour)
        label = f"{title}. {x.size} pairs of score and effect."
        return svg.render(figure, name, label, {"pairs": pairs.hover()})


def _reference_lines(axes: Axes, pairs: Pairs, colour: str) -> None:
    axes.axhline(0, color=RULE, linewidth=0.5)
    axes.axvline(0, color=RULE, linewidth=0.5)
    axes.axline((0, 0), slope=1, color=SOFT, linewidth=1, linestyle=(0, (1, 2)))
    fitted = line(pairs.score, pairs.effect)
    if fitted is not None:
        ends = np.array(axes.get_xlim())
        axes.plot(ends, fitted[0] * ends + fitted[1], color=colour, linewidth=1.2)
    if pairs.placebo is not None:
        axes.axhline(pairs.placebo, color=INK, linewidth=1, linestyle=(0, (5, 3)))


def _label(axes: Axes, pairs: Pairs, shared: bool) -> None:
    powers = [scale.exponent([pairs.score]), scale.exponent([pairs.effect])]
    if shared:
        powers = [max(powers)] * 2
    for axis, power, word in zip(
        (axes.xaxis, axes.yaxis), powers, ("score", "effect"), strict=True
    ):
        scale.ticks(axis, power)
        axis.set_label_text(f"{word}{scale.unit(power)}")


def _marginals(figure: Figure, main: Axes, pairs: Pairs, colour: str) -> None:
    top = svg.axes(figure, 56, 4, 36, 280)
    right = svg.axes(figure, 308, 34, 4, 46)
    for axes, values, limits, turned in (
        (top, pairs.score, main.get_xlim(), False),
        (right, pairs.effect, main.get_ylim(), True),
    ):
        counts, edges = np.histogram(values, bins=30, range=limits)
        bars = axes.barh if turned else axes.bar
        middle, width = (edges[:-1] + edges[1:]) / 2, np.diff(edges)
        bars(middle[counts > 0], counts[counts > 0], 0.86 * width[0], color=colour, alpha=0.45)
        (axes.set_ylim if turned else axes.set_xlim)(*limits)
        axes.set_axis_off()


def ranks(pairs: Pairs, *, name: str, title: str, token: str) -> str:
    """Returns effect and score of every training point against its rank by effect.

    One plot where both are of one size, else the effect above and the score below.
    """
    with svg.style():
        together = comparable(pairs)
        figure = svg.canvas(WIDTH, 250 if together else 330)
        rank = pairs.rank
        size, colour = _size(rank.size), stand_in(token)
        upper = svg.axes(figure, 64, 8, 8, 46 if together else 182)
        lower = upper if together else svg.axes(figure, 64, 168, 8, 46)
        power = scale.exponent([pairs.effect])
        lower_power = power if together else scale.exponent([pairs.score])
        upper.axhline(0, color=RULE, linewidth=0.5)
        lower.axhline(0, color=RULE, linewidth=0.5)
        if pairs.placebo is not None:
            upper.axhline(pairs.placebo, color=INK, linewidth=1, linestyle=(0, (5, 3)))
        lower.scatter(
            rank, pairs.score, s=size, color=colour, alpha=0.75, linewidths=0, gid="scores"
        )
        upper.plot(rank, pairs.effect, color=INK, linewidth=1)
        upper.scatter(
            rank, pairs.effect, s=0.6 * size, color=INK, linewidths=0, gid="effects", zorder=3
        )
        scale.ticks(upper.yaxis, power)
        scale.ticks(lower.yaxis, lower_power)
        lower.set_xlabel("rank of the training point by effect")
        upper.set_ylabel(f"{'score and effect' if together else 'effect'}{scale.unit(power)}")
        if not together:
            lower.set_ylabel(f"score{scale.unit(lower_power)}")
            upper.tick_params(labelbottom=False)
        scale.ticks(lower.xaxis)
        lower.set_xlim(*scale.limits([rank], 0.03))
        upper.set_xlim(*scale.limits([rank], 0.03))
        hover = pairs.hover()
        return svg.render(figure, name, title, {"scores": hover, "effects": hover})


def _size(n: int) -> float:
    return float(np.clip(1200 / max(n, 1), 9, 24))
