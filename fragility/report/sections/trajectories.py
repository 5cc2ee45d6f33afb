"""The test point's loss along retraining (figure 5 of Epifano et al. 2023)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from fragility.report.context import Context, natural, spread
from fragility.report.figures.curves import Curve, curves, gather
from fragility.report.pairs import ARMS, Choice, choose, shown_arms
from fragility.report.parts import Chart, Key, Panel, Section, data_table
from fragility.report.source import Row
from fragility.report.text import number, plural
from fragility.store import report_queries as ask

CURVES, STEPS = 30, 120


@dataclass(frozen=True)
class Recorded:
    """One (cell, procedure, test point) whose retrainings were recorded."""

    arm: str
    procedure: str
    cell: str
    test_point: int


def section(context: Context) -> Section:
    """Returns the trajectories of one test point an arm and procedure."""
    heading = "Along retraining"
    recorded = _chosen(context)
    if not recorded:
        return Section("trajectories", heading, {"chart": None})
    rows = context.source.fetch(
        ask.trajectories([(r.cell, r.procedure, r.test_point) for r in recorded])
    )
    groups: dict[tuple[str, str, int], list[Row]] = defaultdict(list)
    for row in rows.dicts:
        groups[row["cell_id"], row["procedure"], row["test_point"]].append(row)
    everything = [(r, gather(groups[r.cell, r.procedure, r.test_point], STEPS)) for r in recorded]
    everything = [(r, lines) for r, lines in everything if lines]
    drawn = [(r, _thin(lines)) for r, lines in everything]
    token = next(iter(context.colours.values()), "c1") if len(context.colours) == 1 else "soft"
    panels = [_panel(context, i, r, lines, token) for i, (r, lines) in enumerate(drawn)]
    notes = []
    if any(len(a) < len(b) for (_, a), (_, b) in zip(drawn, everything, strict=True)):
        notes.append(f"At most {CURVES} retrainings a panel are drawn, evenly spaced by outcome.")
    keys = [Key("one training point removed", token, "line")]
    if any(line.removed is None for _, lines in drawn for line in lines):
        keys.append(Key("placebo: nothing removed", "ink", "dash"))
    chart = Chart(
        "trajectories-loss",
        "The test point's loss along each retraining",
        panels,
        _reading(context, everything),
        [data_table(rows), data_table(context.source.fetch(ask.RECORDED))],
        keys,
        notes,
    )
    return Section("trajectories", heading, {"chart": chart})


def _chosen(context: Context) -> list[Recorded]:
    """The test point of the scatter where it was recorded, else the first that was."""
    wanted = _preferred(choose(context))
    found: dict[tuple[str, str], Recorded] = {}
    for row in context.source.ask(ask.RECORDED):
        item = Recorded(row["arm"], row["procedure"], row["cell_id"], row["test_point"])
        key = (item.arm, item.procedure)
        if key not in found or (item.cell, item.test_point) == wanted.get(key):
            found[key] = item
    shown = [(c.arm, c.procedure) for c in shown_arms(context)]
    order = sorted(found, key=lambda key: (natural(key[0]), natural(key[1])))
    drawn = [found[key] for key in order if key in shown]
    return drawn or spread([found[key] for key in order], ARMS)


def _preferred(choices: Sequence[Choice]) -> dict[tuple[str, str], tuple[str, int]]:
    return {
        (c.combination.arm, c.combination.procedure): (c.cell, c.test_point)
        for c in choices
        if c.place in ("median", "only")
    }


def _thin(lines: Sequence[Curve]) -> list[Curve]:
    placebos = [line for line in lines if line.removed is None]
    rest = sorted((line for line in lines if line.removed is not None), key=lambda c: c.values[-1])
    return [*spread(rest, CURVES), *placebos]


def _panel(
    context: Context, index: int, recorded: Recorded, lines: Sequence[Curve], token: str
) -> Panel:
    words = (
        f"{context.procedure_label(recorded.arm, recorded.procedure)}: test point"
        f" {recorded.test_point}"
    )
    drawing = curves(lines, name=f"trajectory-{index}", title=words, token=token, quantity="loss")
    return Panel(drawing, words)


def _reading(context: Context, everything: Sequence[tuple[Recorded, Sequence[Curve]]]) -> str:
    words = []
    for recorded, lines in spread(everything, 2):
        changes = [float(c.values[-1] - c.values[0]) for c in lines if c.removed is not None]
        placebos = [float(c.values[-1] - c.values[0]) for c in lines if c.removed is None]
        label = context.procedure_label(recorded.arm, recorded.procedure)
        if not changes:
            continue
        text = (
            f"in {label} {plural(len(changes), 'retraining')} end between"
            f" {number(min(changes))} and {number(max(changes))} from where they started"
        )
        if placebos:
            text += f", the placebo at {number(placebos[0])}"
        words.append(text)
    if not words:
        return "Only placebos were recorded."
    text = "; ".join(words)
    return f"{text[0].upper()}{text[1:]}."
