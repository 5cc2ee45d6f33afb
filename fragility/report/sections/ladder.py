"""The ladder of truths: from the score to retraining, each step isolating one thing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fragility.report.context import Combination, Context, spread
from fragility.report.context import Estimate as Median
from fragility.report.evidence import judged
from fragility.report.figures.bars import Bar, bars
from fragility.report.ladder import Ladder, Step, build, weakest
from fragility.report.parts import Chart, Key, Panel, Section, data_table
from fragility.report.rungs import FROZEN, SCORE, TRUTHS, Rungs, between, declared, isolates
from fragility.report.text import estimate, interval, listing, number, plural, ratio
from fragility.statistics.correlations import Kind
from fragility.statistics.estimate import Estimate
from fragility.store import truth_queries as ask

HEADING = "The ladder of truths"
MOST = 12
FEWEST_TRUTHS = 2
LONGEST = 38

SLIGHT = 0.99
"""Above this agreement of neighbours a step has lost nothing that a reader would see."""

EXAMPLE = """\
procedures:
  linear: {kind: linear_response, damping: 0.01, ...}
  pbrf: {kind: pbrf, damping: 0.01, ...}
  warm: {kind: leave_one_out, start: warm, ...}
  cold: {kind: leave_one_out, start: cold, replicates: 10, ...}"""

Shown = tuple[str, str]
"""A value and its interval as a table shows them."""


@dataclass(frozen=True)
class Line:
    """One row of a ladder's table; what has no meaning for a rung is empty."""

    rung: str
    procedure: str
    isolates: str
    values: Sequence[Shown]
    gap_mean: str
    effect: str


def section(context: Context) -> Section:
    """Returns a figure and a table for every arm with two truths, or what to declare."""
    rungs = {arm: declared(context, *arm) for arm in judged(context)}
    standing = [arm for arm, found in rungs.items() if len(found.every) >= FEWEST_TRUTHS]
    built = [build(context, *arm) for arm in spread(standing, MOST)]
    drawn = [found for found in built if not found.reason]
    data = {
        "ladders": [_ladder(context, place, found) for place, found in enumerate(drawn)],
        "lead": _lead(context, [one for one in drawn if one.estimator not in context.nulls]),
        "steps": _steps([rungs[arm] for arm in standing]),
        "without": _without(context, rungs, built),
        "rest": max(0, len(standing) - MOST),
        "total": len(standing),
        "nothing": "" if standing else _nothing(context),
        "example": EXAMPLE,
    }
    return Section("ladder", HEADING, data)


def _steps(rungs: Sequence[Rungs]) -> list[tuple[str, str, str]]:
    """Returns what each step isolates, between which truths, and why, for all rungs in use."""
    names = {rung.truth.name for found in rungs for rung in found.every}
    lines, below = [], SCORE
    for truth in TRUTHS:
        if truth.name in names:
            ends = f"from {below.words} to {truth.words}"
            because = "; ".join(step.because for step in between(below, truth))
            lines.append((isolates(below, truth), ends, because))
            below = truth
    if FROZEN.name in names:
        lines.append((FROZEN.isolates, "beside the ladder", FROZEN.because))
    return lines


def _nothing(context: Context) -> str:
    names = sorted({str(row["truth"]) for row in context.targets.values() if row["truth"]})
    truths = listing([name.replace("_", " ") for name in names])
    have = f"This study measures {plural(len(names), 'truth')} ({truths})" if names else "No truth"
    have += "" if names else " is measured here"
    return (
        f"{have}, and no score has two of the ladder's that move the parameters it covers. Declare"
        " at least two, on the same removals and test points; for example"
    )


def _without(
    context: Context, rungs: Mapping[tuple[str, str], Rungs], built: Sequence[Ladder]
) -> list[str]:
    """Returns one line for every arm that has no ladder although others have, and why."""
    lines = [f"{_label(context, f.arm, f.estimator)}: {f.reason}." for f in built if f.reason]
    for (arm, estimator), found in rungs.items():
        if len(found.every) >= FEWEST_TRUTHS or not found.mismatched:
            continue
        words = sorted({context.mismatch(c) or "other parameters" for c in found.mismatched})
        count = plural(len(found.mismatched), "truth")
        lines.append(
            f"{_label(context, arm, estimator)}: {count} cannot stand on its ladder"
            f" ({listing(words, 2)})."
        )
    return lines[:12]


def _label(context: Context, arm: str, estimator: str) -> str:
    several = len({c.estimator for c in context.combinations}) > 1
    return f"{context.arm_label(arm)} · {estimator}" if several else context.arm_label(arm)


def _ladder(context: Context, place: int, found: Ladder) -> dict[str, object]:
    label = _label(context, found.arm, found.estimator)
    token = context.colours[found.estimator]
    steps = (*found.chain, *found.beside)
    drawings = (
        ("The score with each truth", _scores(steps, token), "correlation"),
        ("Each truth with the one before", _neighbours(found.chain, token), "correlation"),
        ("The same steps in effect units", _gaps(found.chain, token), ""),
    )
    panels = [
        Panel(_panel(rows, f"ladder-{place}-{number}", f"{label}: {words}", axis), words)
        for number, (words, rows, axis) in enumerate(drawings)
    ]
    rows = context.source.fetch(ask.ladder(found.arm, found.estimator, found.places))
    chart = Chart(
        f"ladder-{place}",
        f"The ladder of {label}",
        panels,
        _reading(label, found),
        [data_table(rows)],
        _keys(found, token),
        _notes(context, found),
    )
    return {
        "label": label,
        "chart": chart,
        "lines": [_line(step, step in found.chain) for step in steps],
        "total": number(found.total_mean),
        "apart": [*_selection(context, found), *_mismatched(context, found)],
    }


def _selection(context: Context, found: Ladder) -> list[str]:
    """Returns what the choice of removals does to the agreement with each truth, where known."""
    lines = []
    for step in (*found.chain, *found.beside):
        combination = Combination(found.arm, found.estimator, step.rung.procedure)
        raw = context.estimates.get((combination, "pearson"))
        whole = context.population.get((combination, "pearson"))
        if raw and whole and raw.value is not None and whole.value is not None:
            lines.append(
                f"Selection, {step.rung.truth.words}: median Pearson {_median(raw)} over the"
                f" removals as chosen, {_median(whole)} when each stands for all it was drawn from."
            )
    return lines


def _mismatched(context: Context, found: Ladder) -> list[str]:
    """Returns the agreement with truths of other parameters, badged."""
    lines = []
    for combination in found.rungs.mismatched:
        value = context.estimates.get((combination, "pearson"))
        if value and value.value is not None:
            badge = context.mismatch(combination) or "other parameters"
            lines.append(f"{combination.procedure}: median Pearson {_median(value)}; {badge}.")
    return lines


def _median(found: Median) -> str:
    return estimate("pearson", found.value, found.low, found.high)


def _panel(rows: Sequence[Bar], name: str, title: str, axis: str) -> str:
    if axis:
        return bars(rows, name=name, title=title, axis=axis, bounds=(-1.0, 1.0))
    return bars(
        rows, name=name, title=title, axis="root mean square of the difference", bounds=None
    )


def _scores(steps: Sequence[Step], token: str) -> list[Bar]:
    return [
        Bar(
            step.rung.truth.words if step.rung.truth != FROZEN else f"beside: {FROZEN.words}",
            step.with_score["pearson"],
            _value(step.with_score["pearson"]),
            f"score with {step.rung.truth.words}: {_both(step.with_score)}{_ceiling(step)}",
            token,
            step.with_score["spearman"].value,
            step.ceiling,
            band=step.score_band,
        )
        for step in steps
    ]


def _neighbours(steps: Sequence[Step], token: str) -> list[Bar]:
    return [
        Bar(
            _ends(step),
            step.with_below["pearson"],
            _value(step.with_below["pearson"]),
            f"{step.isolates}, {step.below.words} to {step.rung.truth.words}:"
            f" {_both(step.with_below)}{_ceiling(step)}",
            token if step.below == SCORE else "soft",
            step.with_below["spearman"].value,
            step.ceiling,
            band=step.below_band,
        )
        for step in steps
    ]


def _gaps(steps: Sequence[Step], token: str) -> list[Bar]:
    return [
        Bar(
            _ends(step),
            step.gap,
            number(step.gap.value),
            f"{step.isolates}, {step.below.words} to {step.rung.truth.words}: root mean square"
            f" {' '.join(_number(step.gap))} beside effects of {number(step.effect)}",
            token if step.below == SCORE else "soft",
            behind=step.effect,
        )
        for step in steps
    ]


def _ends(step: Step) -> str:
    """Returns what a step isolates and between which truths, or only these where it is long."""
    ends = f"{step.below.short} → {step.rung.truth.short}"
    words = f"{step.isolates}: {ends}"
    return words if len(words) <= LONGEST else ends


def _keys(found: Ladder, token: str) -> list[Key]:
    keys = [
        Key("Pearson, of the score", token, "square"),
        Key("Pearson, between truths", "soft", "square"),
        Key("Spearman", "ink", "ring"),
        Key("95 % interval", "ink", "line"),
    ]
    if any(step.ceiling is not None for step in (*found.chain, *found.beside)):
        keys.append(Key("noise ceiling", "ink", "tick"))
    behind = "what unrelated values give (95 %); size of the effects (root mean square)"
    return [*keys, Key(behind, "band", "band")]


def _notes(context: Context, found: Ladder) -> list[str]:
    repeats = f" × {plural(found.repeats, 'repeat')}" if found.repeats > 1 else ""
    notes = [
        f"{plural(found.pairs, 'pair')} that all rungs share: {plural(found.removed, 'removal')} ×"
        f" {plural(found.tests, 'test point')}{repeats}.",
        *found.rungs.notes,
    ]
    left = [
        f"{c.procedure} ({context.mismatch(c) or 'other parameters'})"
        for c in found.rungs.mismatched
    ]
    return [*notes, f"Not on this ladder: {listing(left)}."] if left else notes


def _reading(label: str, found: Ladder) -> str:
    worst = weakest(found)
    if worst is None:
        return f"No step of {label} has an agreement; the table has the reasons."
    where = f"between {worst.below.words} and {worst.rung.truth.words} ({worst.isolates})"
    size = number(worst.gap.value)
    share = f"{ratio((worst.gap.value or 0.0) / worst.effect)} of" if worst.effect else "beside"
    numbers = (
        f"they agree at Pearson {_words(worst.with_below['pearson'])} and differ by {size}, {share}"
        f" the effects' {number(worst.effect)} (root mean squares)"
    )
    if _agrees(worst):
        return f"No step of {label} loses much agreement; the largest loss is {where}: {numbers}."
    return f"The largest loss of agreement in {label} is {where}: {numbers}."


def _agrees(step: Step) -> bool:
    return (step.with_below["pearson"].value or 0.0) >= SLIGHT


def _lead(context: Context, drawn: Sequence[Ladder]) -> str:
    """Returns where the largest loss of agreement happens in this study, over all ladders."""
    known = [(found, step) for found in drawn if (step := weakest(found)) is not None]
    if not known:
        return ""
    found, step = min(known, key=lambda item: item[1].with_below["pearson"].value or 0.0)
    if _agrees(step):
        return "No step of any ladder loses much agreement in this study."
    return (
        f"The largest loss of agreement in this study is due to {step.isolates}: in"
        f" {_label(context, found.arm, found.estimator)}, {step.below.words} and"
        f" {step.rung.truth.words} agree at a Pearson correlation of"
        f" {_words(step.with_below['pearson'])}."
    )


def _line(step: Step, on_chain: bool) -> Line:
    below = [_shown(step.with_below[kind]) for kind in ("pearson", "spearman")]
    return Line(
        step.rung.truth.words,
        "" if step.rung.procedure in step.rung.truth.words else step.rung.procedure,
        step.isolates,
        [
            *(_shown(step.with_score[kind]) for kind in ("pearson", "spearman")),
            *(below if on_chain else [("", "")] * 2),
            _number(step.gap) if not _rounding(step) else (number(step.gap.value), ""),
        ],
        number(step.gap_mean),
        number(step.effect),
    )


def _rounding(step: Step) -> bool:
    """Returns whether a difference is one of the last digits, of which an interval says nothing."""
    return (step.gap.value or 0.0) < 1e-9 * step.effect


def _shown(found: Estimate) -> Shown:
    if found.value is None:
        return "none", found.reason or ""
    value, _, bounds = _words(found).partition(" [")
    return value, bounds and f"[{bounds}"


def _number(found: Estimate) -> Shown:
    return number(found.value), interval(found.low, found.high)


def _both(found: Mapping[Kind, Estimate]) -> str:
    return f"Pearson {_words(found['pearson'])}, Spearman {_words(found['spearman'])}"


def _ceiling(step: Step) -> str:
    return "" if step.ceiling is None else f", noise ceiling {number(step.ceiling)}"


def _value(found: Estimate) -> str:
    return "no value" if found.value is None else _words(found).partition(" [")[0]


def _words(found: Estimate) -> str:
    if found.value is None:
        return f"no value ({found.reason})"
    return estimate("pearson", found.value, found.low, found.high)
