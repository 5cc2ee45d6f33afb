"""Truth: effects beside the placebo, halves of the replicates against each other, reliability."""

from __future__ import annotations

from collections.abc import Sequence

from fragility.report.context import Context, spread
from fragility.report.figures.halves import halves
from fragility.report.figures.reliability import Line, reliability
from fragility.report.figures.sizes import sizes
from fragility.report.pairs import ARMS
from fragility.report.parts import Chart, Key, Panel, Section, data_table
from fragility.report.text import count, estimate, listing, number, plural, ratio
from fragility.report.truths import Halves, Measured, measured, procedures
from fragility.report.verdict import WANTED
from fragility.statistics.estimate import Estimate
from fragility.statistics.reliability import MEASURABLE, replicates_needed
from fragility.store import noise_queries as ask
from fragility.store.truth_queries import RELIABILITY

ROWS = 24
"""Arms and procedures whose noise is worked out, a tenth of a second each."""

DOTS = 1_000
SMALL = 0.1
"""A placebo below this share of an effect is named as small."""

TOKEN = "c1"


def section(context: Context) -> Section:
    """Returns how well the effects were measured that scores are held against."""
    keys = procedures(context)
    found = measured(context, spread(keys, ROWS))
    replicated = [one for one in found if one.noise.mean.value is not None]
    data = {
        "rows": [_row(context, one) for one in found],
        "rest": len(keys) - len(found),
        "sizes": _sizes(context, found) if any(one.effects.size for one in found) else None,
        "halves": _halves(context, replicated),
        "reliability": _reliability(context, replicated) if replicated else None,
        "target": WANTED,
        "measurable": MEASURABLE,
        "unknown": _unknown(context, found),
        "tables": [data_table(context.source.fetch(q)) for q in (ask.SIZES, RELIABILITY)],
    }
    return Section("truth", "How well effects were measured", data)


def _row(context: Context, one: Measured) -> dict[str, object]:
    effect, placebo = one.sizes
    known = one.noise.mean.value is not None
    return {
        "label": _label(context, one),
        "replicates": count(one.noise.replicates),
        "effect": number(effect),
        "placebo": number(placebo),
        "share": "–" if one.share is None else ratio(one.share),
        "single": _cell(one.noise.single),
        "mean": _cell(one.noise.mean),
        "full": number(one.full),
        "ceiling": _cell(one.noise.ceiling),
        "needed": _needed(one) if known else "unknown",
        "reason": "" if known else one.noise.mean.reason or "",
    }


def _cell(found: Estimate) -> tuple[str, str]:
    if found.value is None:
        return "–", ""
    value, _, bounds = estimate("pearson", found.value, found.low, found.high).partition(" [")
    return value, bounds and f"[{bounds}"


def _label(context: Context, one: Measured) -> str:
    return context.procedure_label(one.arm, one.procedure)


def _needed(one: Measured) -> str:
    """Returns how many replicates reach the target, with the range of the single reliability."""
    single = one.noise.single
    value = replicates_needed(single.value or 0.0, WANTED)
    if value is None:
        return "no number"
    if single.low is None or single.high is None:
        return count(value)
    most = replicates_needed(single.low, WANTED)
    least = replicates_needed(single.high, WANTED) or 1
    return f"{count(value)} [{count(least)}, {'no limit' if most is None else count(most)}]"


def _sizes(context: Context, found: Sequence[Measured]) -> Chart:
    known = [one for one in found if one.effects.size]
    chosen = sorted(known, key=lambda one: -(one.share or 0.0))[:ARMS]
    drawn = [one for one in known if one in chosen]
    panels = []
    for place, one in enumerate(drawn):
        title = _label(context, one)
        drawing = sizes(one.effects, one.placebo, name=f"sizes-{place}", title=title, token=TOKEN)
        panels.append(Panel(drawing, title, _zeros(one)))
    return Chart(
        "truth-sizes",
        "How large effects are beside the placebo",
        panels,
        _of_sizes(context, known),
        [data_table(context.source.fetch(ask.SIZES))],
        [
            Key("effects of removals", TOKEN, "square"),
            Key("placebo: nothing removed", "band", "band"),
            Key("median of the effects", TOKEN, "line"),
            Key("median of the placebo", "ink", "dash"),
        ],
        [
            *_left_out(len(drawn), len(known)),
            "Each distribution is scaled to its highest bin.",
        ],
    )


def _left_out(drawn: int, known: int) -> list[str]:
    if drawn == known:
        return []
    return [f"Drawn are the {drawn} of {known} whose placebo is largest for their effects."]


def _zeros(one: Measured) -> str:
    if not one.placebo.size:
        return "no placebo"
    zeros = int((one.placebo == 0).sum())
    if zeros == one.placebo.size:
        return "the placebo moves nothing"
    return f"the placebo does not move {count(zeros)} of {count(one.placebo.size)}" if zeros else ""


def _of_sizes(context: Context, found: Sequence[Measured]) -> str:
    known = sorted((one for one in found if one.share is not None), key=lambda one: one.share or 0)
    if not known:
        return "No placebo was measured: how far retraining drifts by itself is not known."
    words = [
        f"{ratio(one.share or 0.0)} of an effect's in {_label(context, one)}"
        for one in (known[:1] if len(known) == 1 else (known[0], known[-1]))
    ]
    drifting = sum((one.share or 0.0) >= SMALL for one in known)
    if not drifting:
        return (
            f"The placebo's median size is {listing(words)}: what is measured is the removals' own."
        )
    return (
        f"The placebo's median size is {listing(words)}; in {drifting} of {len(known)} it is"
        f" {ratio(SMALL)} or more: retraining moves the measurable by itself. What it adds to all"
        " removals alike lowers no correlation, but moves signs and sizes."
    )


def _halves(context: Context, replicated: Sequence[Measured]) -> Chart | None:
    drawn = spread([one for one in replicated if one.middle is not None], ARMS)
    chosen = [(one, middle) for one in drawn if (middle := one.middle) is not None]
    if not chosen:
        return None
    panels = [_panel(context, place, one, half) for place, (one, half) in enumerate(chosen)]
    rows = context.source.fetch(
        ask.halves([(half.cell, one.procedure, half.test_point) for one, half in chosen])
    )
    notes = [
        "Drawn is the test point whose halves agree at the median, cut into first and second half;"
        " the correlation is the median over all cuts, or 200 random ones."
    ]
    if any(half.first.size > DOTS for _, half in chosen):
        notes.append(f"At most {DOTS} removals a panel are drawn, evenly spaced.")
    words = [f"{number(one.half)} in {_label(context, one)}" for one in spread(drawn, 3)]
    return Chart(
        "truth-halves",
        "One half of the replicates against the other",
        panels,
        f"Over test points and repeats, halves correlate on average at {listing(words)}.",
        [data_table(rows)],
        [Key("one removal", TOKEN, "dot"), Key("both halves agree", "soft", "dots")],
        notes,
    )


def _panel(context: Context, place: int, one: Measured, half: Halves) -> Panel:
    keep = spread(range(half.first.size), DOTS)
    what = "group" if half.group else "training point"
    hover = [
        f"{what} {half.removed[k]}: {number(half.first[k])} and {number(half.second[k])}"
        for k in keep
    ]
    title = _label(context, one)
    drawing = halves(
        half.first[keep], half.second[keep], hover, name=f"halves-{place}", title=title, token=TOKEN
    )
    repeat = f", repeat {half.repeat}" if context.repeats > 1 else ""
    return Panel(
        drawing,
        title,
        f"test point {half.test_point}{repeat}: r = {number(half.split.half)},"
        f" n = {count(half.first.size)}",
    )


def _reliability(context: Context, replicated: Sequence[Measured]) -> Chart:
    drawn = spread(replicated, ARMS)
    panels = []
    for place, one in enumerate(drawn):
        needed = replicates_needed(one.noise.single.value or 0.0, WANTED)
        line = Line(one.noise.single, one.noise.mean, one.noise.replicates, one.half, needed)
        title = _label(context, one)
        words = (
            f"{title}: {plural(one.noise.replicates, 'replicate')} reach {_words(one.noise.mean)}"
        )
        drawing = reliability(
            line, target=WANTED, name=f"reliability-{place}", title=words, token=TOKEN
        )
        panels.append(Panel(drawing, title))
    return Chart(
        "truth-reliability",
        "Reliability against the number of replicates",
        panels,
        " ".join(_said(context, one) for one in spread(drawn, 4)),
        [data_table(context.source.fetch(RELIABILITY))],
        [
            Key("all replicates, with 95 % interval", TOKEN, "dot"),
            Key("halves of them", "ink", "ring"),
            Key("Spearman–Brown from a single replicate", TOKEN, "line"),
            Key("its 95 % interval", "band", "band"),
            Key(f"target: {WANTED}", "ink", "dash"),
        ],
        ["The curve assumes that further replicates are as noisy as those measured."],
    )


def _said(context: Context, one: Measured) -> str:
    """Returns the sentence that names how many replicates reach the target."""
    reached = f"{plural(one.noise.replicates, 'replicate')} reach {_words(one.noise.mean)}"
    label, needed = _label(context, one), _needed(one)
    if needed == "no number":
        return (
            f"In {label}, {reached}: replicates agree no better than chance, and no number of them"
            f" can be named for {WANTED}."
        )
    value, _, bounds = needed.partition(" [")
    noun = "replicate" if value == "1" else "replicates"
    bounds = f" [{bounds}" if bounds else ""
    return f"In {label}, {reached}; a reliability of {WANTED} takes {value} {noun}{bounds}."


def _words(found: Estimate) -> str:
    return estimate("pearson", found.value, found.low, found.high)


def _unknown(context: Context, found: Sequence[Measured]) -> str:
    """Returns one line on procedures of which nothing is known, and what would tell."""
    names = [_label(context, one) for one in found if one.noise.replicates < 2]
    if not names:
        return ""
    return (
        f"Of {listing(names)} each effect was measured once: how reliable it is cannot be said."
        " Truths without any randomness (a linear response, an optimum) need no replicates; for"
        " retraining declare `replicates` with `start: cold`, or, after minibatch training, with"
        " `order: independent`."
    )
