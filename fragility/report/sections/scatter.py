"""Score against effect, point by point, for the test points that stand for each arm."""

from __future__ import annotations

from collections.abc import Sequence

from fragility.report.context import Context, spread
from fragility.report.figures.pairs import comparable, scatter
from fragility.report.pairs import (
    MARKS,
    MARKS_A_PANEL,
    Pairs,
    choose,
    load,
    shown_arms,
    title,
    value_words,
)
from fragility.report.parts import Chart, Key, Panel, Section, data_table
from fragility.report.statistics import line
from fragility.report.text import listing, number, plural, ratio
from fragility.store import report_queries as ask


def section(context: Context) -> Section:
    """Returns the scatter section."""
    choices = choose(context)
    loaded, rows = load(context, choices) if choices else ([], None)
    loaded = [pairs for pairs in loaded if pairs.score.size > 1]
    heading = "Score against effect"
    if not loaded or rows is None:
        return Section("scatter", heading, {"chart": None, "rest": ""})
    most = min(MARKS_A_PANEL, max(300, MARKS // len(loaded)))
    panels = [_panel(context, pairs, number, most) for number, pairs in enumerate(loaded)]
    used = {pairs.choice.combination.estimator for pairs in loaded}
    keys = [Key(name, token) for name, token in context.colours.items() if name in used]
    keys += [Key("identity", "soft", "dots"), Key("least-squares fit", "c1", "line")]
    if any(pairs.placebo is not None for pairs in loaded):
        keys.append(Key("placebo: nothing removed", "ink", "dash"))
    chart = Chart(
        "scatter-pairs",
        "Measured effect against predicted score",
        panels,
        _reading(context, loaded),
        [data_table(context.source.fetch(ask.representatives(context.primary or "pearson"))),
         data_table(rows)],
        keys,
        _notes(loaded, most),
    )  # fmt: skip
    return Section("scatter", heading, {"chart": chart, "rest": rest(context)})


def rest(context: Context) -> str:
    """Returns one line that names the arms which are not drawn, or nothing."""
    shown = shown_arms(context)
    others = [context.label(c) for c in context.combinations if c not in shown]
    if not others:
        return ""
    return (
        f"Drawn are {len(shown)} of {len(context.combinations)} arms, evenly spaced from best to"
        f" worst. Not drawn: {listing(others, 10)}. The query gives any of them when its cells and"
        " test points are put in."
    )


def _panel(context: Context, pairs: Pairs, index: int, most: int) -> Panel:
    words = title(context, pairs.choice)
    fitted = line(pairs.score, pairs.effect)
    note = f"{value_words(context, pairs.choice)}, n = {pairs.score.size}"
    if fitted:
        note += f", slope {number(fitted[0])}"
    mismatch = context.mismatch(pairs.choice.combination)
    note += f"; {mismatch}" if mismatch else ""
    token = context.colours[pairs.choice.combination.estimator]
    drawing = scatter(pairs.thinned(most), name=f"scatter-{index}", title=words, token=token)
    return Panel(drawing, words, note)


def _notes(loaded: Sequence[Pairs], most: int) -> list[str]:
    notes = []
    if any(not comparable(pairs) for pairs in loaded):
        notes.append("Where score and effect differ in size by more than five times, axes differ.")
    if any(pairs.score.size > most for pairs in loaded):
        notes.append(f"At most {most} points a panel are drawn, evenly spaced by rank of effect.")
    lost = sum(pairs.not_finite for pairs in loaded)
    if lost:
        notes.append(f"{plural(lost, 'pair')} without a finite score or effect cannot be drawn.")
    return notes


def _reading(context: Context, loaded: Sequence[Pairs]) -> str:
    middle = [pairs for pairs in loaded if pairs.choice.place in ("median", "only")]
    parts = []
    for pairs in spread(middle, 2):
        fitted = line(pairs.score, pairs.effect)
        words = f"{context.label(pairs.choice.combination)} {value_words(context, pairs.choice)}"
        if fitted:
            words += f" with slope {number(fitted[0])}"
        if pairs.placebo is not None:
            typical = float(sorted(abs(pairs.effect))[pairs.effect.size // 2])
            if typical:
                share = ratio(abs(pairs.placebo) / typical)
                words += f" and a placebo of {share} of its median effect"
        parts.append(words)
    several = any(pairs.choice.place == "median" for pairs in middle)
    return f"At the {'median' if several else 'one'} test point: {'; '.join(parts)}."
