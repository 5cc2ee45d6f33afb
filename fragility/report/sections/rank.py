"""Score and effect against the rank of the training point (figure 4 of Epifano et al. 2023)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fragility.report.context import Context, spread
from fragility.report.figures.pairs import ranks
from fragility.report.pairs import MARKS, MARKS_A_PANEL, Pairs, choose, load, title
from fragility.report.parts import Chart, Key, Panel, Section, data_table
from fragility.report.sections.scatter import rest
from fragility.report.text import number


def section(context: Context) -> Section:
    """Returns the rank section: one panel an arm, at its median test point."""
    choices = [choice for choice in choose(context) if choice.place in ("median", "only")]
    loaded, rows = load(context, choices) if choices else ([], None)
    loaded = [pairs for pairs in loaded if pairs.score.size > 1]
    heading = "Score and effect by rank"
    if not loaded or rows is None:
        return Section("rank", heading, {"chart": None, "rest": ""})
    most = min(MARKS_A_PANEL, max(300, MARKS // (2 * len(loaded))))
    panels = [
        Panel(
            ranks(
                pairs.thinned(most),
                name=f"rank-{index}",
                title=title(context, pairs.choice),
                token=context.colours[pairs.choice.combination.estimator],
            ),
            title(context, pairs.choice),
        )
        for index, pairs in enumerate(loaded)
    ]
    used = {pairs.choice.combination.estimator for pairs in loaded}
    keys = [Key("effect", "ink", "line")]
    keys += [Key(f"score: {n}", token) for n, token in context.colours.items() if n in used]
    if any(pairs.placebo is not None for pairs in loaded):
        keys.append(Key("placebo: nothing removed", "ink", "dash"))
    notes = []
    if any(pairs.score.size > most for pairs in loaded):
        notes.append(f"At most {most} points a panel are drawn, evenly spaced by rank of effect.")
    chart = Chart(
        "rank-pairs",
        "Effect and score of every training point, ordered by effect",
        panels,
        _reading(context, loaded),
        [data_table(rows)],
        keys,
        notes,
    )
    return Section("rank", heading, {"chart": chart, "rest": rest(context)})


def _reading(context: Context, loaded: Sequence[Pairs]) -> str:
    words = []
    for pairs in spread(loaded, 2):
        top = min(10, pairs.score.size // 2 or 1)
        predicted = set(np.argsort(-pairs.score, kind="stable")[:top].tolist())
        words.append(
            f"{len(predicted & set(range(top)))} of the {top} largest effects of"
            f" {context.label(pairs.choice.combination)} are among its {top} largest scores"
            f" (effects from {number(float(pairs.effect.min()))} to"
            f" {number(float(pairs.effect.max()))})"
        )
    return f"{'; '.join(words)}."
