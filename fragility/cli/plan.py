"""`fragility plan`: what a study would compute, before it costs anything."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fragility.cli import text
from fragility.cli.options import (
    STORE,
    DataOption,
    RepeatsOption,
    SetOption,
    StoreOption,
    StudyArgument,
    overrides,
)

if TYPE_CHECKING:
    from fragility.execution.run import RunOptions
    from fragility.plan.summary import PlanSummary, SummaryRow
    from fragility.study.load import LoadedStudy


def plan(
    study: StudyArgument,
    set_: SetOption = None,
    repeats: RepeatsOption = None,
    store: StoreOption = STORE,
    data: DataOption = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Save the whole plan as JSON.")
    ] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print the table as JSON.")] = False,
) -> None:
    """Show what a run would compute, what is done already, and how long the rest may take."""
    from fragility.execution.run import RunOptions
    from fragility.study.load import load_study

    loaded = load_study(study, overrides(set_, repeats))
    show(loaded, store, RunOptions(), out=out, json_=json_)


def show(
    loaded: LoadedStudy,
    store: Path,
    options: RunOptions,
    *,
    out: Path | None = None,
    json_: bool = False,
) -> None:
    """Prints the plan of a checked study, and saves it if a file is named."""
    from fragility.cli.controls import announced
    from fragility.execution.preview import preview
    from fragility.plan.record import plan_file

    found = preview(loaded, store, options)
    if out is not None:
        out.write_text(json.dumps(plan_file(found.plan)) + "\n", encoding="utf-8")
    first, line = announced(store) if loaded.study.controls else (0, "")
    if json_:
        told = {"predicted_seconds": found.predicted_seconds, "controls": first}
        print(json.dumps({**asdict(found.summary), **told}))
    else:
        print(render(found.summary, found.predicted_seconds, found.threads))
        if first:
            print(line)


def render(summary: PlanSummary, predicted_seconds: float | None, threads: int) -> str:
    """Returns the table of a plan."""
    header = ("task", "tasks", "batches", "gradients at most", "done", "why")
    table = text.table(header, [_row(row) for row in summary.rows if row.tasks], indent="  ")
    notes = [f"  {note}" for note in summary.notes]
    return "\n".join([_head(summary), table, *notes, _foot(summary, predicted_seconds, threads)])


def _head(summary: PlanSummary) -> str:
    cells = text.plural(summary.settings, "cell")
    if summary.repeats > 1:
        cells += f" x {summary.repeats} repeats"
    parts = [text.plural(summary.base_models, "base model")]
    if summary.retrainings:
        parts.append(text.plural(summary.retrainings, "retraining"))
    head = f"{summary.study}: {cells} = {', '.join(parts)}"
    return f"{head} + {text.plural(summary.placebos, 'placebo')}" if summary.placebos else head


def _row(row: SummaryRow) -> tuple[str, ...]:
    gradients = f"{row.gradient_evaluations:,}" if row.gradient_evaluations else "-"
    return (row.kind, f"{row.tasks:,}", f"{row.batches:,}", gradients, f"{row.done:,}", row.why)


def _foot(summary: PlanSummary, predicted_seconds: float | None, threads: int) -> str:
    if all(row.done == row.tasks for row in summary.rows):
        return "All done: a run computes nothing."
    time = "" if predicted_seconds is None else f": about {text.duration(predicted_seconds)}"
    return f"{text.plural(threads, 'thread')}{time}"
