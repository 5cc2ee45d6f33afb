"""`fragility run`: execute what a study asks for and the store does not hold yet."""

from __future__ import annotations

import shlex
import sys
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fragility.cli import text
from fragility.cli.options import (
    STORE,
    DataOption,
    MemoryOption,
    RepeatsOption,
    SetOption,
    StoreOption,
    StudyArgument,
    memory_size,
    overrides,
)

if TYPE_CHECKING:
    from fragility.execution.events import RunSummary

FAILURES_SHOWN = 10


class Device(StrEnum):
    """Where the models are trained."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


class Executor(StrEnum):
    """What executes the batches."""

    local = "local"


def run(
    study: StudyArgument,
    set_: SetOption = None,
    repeats: RepeatsOption = None,
    store: StoreOption = STORE,
    data: DataOption = None,
    device: Annotated[Device, typer.Option(help="Where the models are trained.")] = Device.auto,
    select: Annotated[
        list[str] | None,
        typer.Option(
            metavar="WHAT",
            help="Only these tasks: `kind:retrain`, `estimator:LABEL`, `procedure:LABEL`, "
            "`cell:TEXT`; `+` in front adds what they depend on. Repeatable.",
        ),
    ] = None,
    exclude: Annotated[
        list[str] | None, typer.Option(metavar="WHAT", help="Not these tasks. Repeatable.")
    ] = None,
    only_failed: Annotated[
        bool, typer.Option("--only-failed", help="Only what failed before or was skipped for it.")
    ] = False,
    fail_fast: Annotated[
        bool, typer.Option("--fail-fast", help="Stop at the first failed task.")
    ] = False,
    executor: Annotated[Executor, typer.Option(help="What executes.")] = Executor.local,
    memory: MemoryOption = None,
    allow_code: Annotated[
        bool,
        typer.Option("--allow-code", help="Import the `python:` code that the study names."),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the plan, compute nothing.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print the last line only.")] = False,
    json_: Annotated[
        bool, typer.Option("--json", help="Print events as JSON, one object a line.")
    ] = False,
) -> None:
    """Run a study: what is done already is kept, what is new is computed."""
    from fragility.cli import json_lines, progress, replicates
    from fragility.cli.controls import run_first
    from fragility.cli.verdicts import verdicts
    from fragility.execution.pilot import run_piloted
    from fragility.execution.run import RunOptions
    from fragility.study.load import load_study

    loaded = load_study(study, overrides(set_, repeats))
    options = RunOptions(
        device=device.value,
        select=tuple(select or ()),
        exclude=tuple(exclude or ()),
        only_failed=only_failed,
        fail_fast=fail_fast,
        executor=executor.value,
        memory=memory_size(memory),
        allow_code=allow_code,
        command=shlex.join(["fragility", *sys.argv[1:]]),
    )
    if dry_run:
        from fragility.cli.plan import show

        show(loaded, store, options, json_=json_)
        return
    first = partial(run_first, store, options, quiet=quiet, json_=json_)
    before = first if loaded.study.controls else None
    if json_:
        summary = run_piloted(loaded, store, options, json_lines.show, before, replicates.show_json)
        json_lines.finish(summary, [] if summary.interrupted else verdicts(store, summary.run_id))
    else:
        with progress.listener(quiet=quiet) as listener:
            told = replicates.ignore if quiet else replicates.show
            summary = run_piloted(loaded, store, options, listener, before, told)
        print_summary(summary, store, quiet=quiet)
    raise typer.Exit(exit_code(summary))


def exit_code(summary: RunSummary) -> int:
    """Returns 130 for an interrupted run, 1 when something failed or was skipped, else 0."""
    if summary.interrupted:
        return 130
    return 1 if summary.failed or summary.skipped else 0


def print_summary(summary: RunSummary, store: Path, *, quiet: bool) -> None:
    """Prints agreement and the last line on stdout, failures and what to do next on stderr."""
    for failure in summary.failures[:FAILURES_SHOWN]:
        print(f"FAILED {failure.kind} {failure.cell}: {failure.message}", file=sys.stderr)
    if len(summary.failures) > FAILURES_SHOWN:
        more = text.plural(len(summary.failures) - FAILURES_SHOWN, "failure")
        print(f"and {more} more, all in the report", file=sys.stderr)
    if summary.interrupted:
        print("Interrupted. The same command continues where it stopped.", file=sys.stderr)
    if not quiet:
        from fragility.cli.agreement import agreement_table
        from fragility.cli.departures import departures
        from fragility.cli.verdicts import render, verdicts

        if table := agreement_table(store, summary.run_id):
            print(table)
        if said := departures(store, summary.run_id):
            print(said)
        if not summary.interrupted and (told := render(verdicts(store, summary.run_id))):
            print(told)
        print(f"Report: fragility report {summary.study}{_store_option(store)}  (--open shows it)")
    print(last_line(summary))


def last_line(summary: RunSummary) -> str:
    """Returns `Done. OK=.. CACHED=.. FAILED=.. SKIPPED=.. in .., peak ..`."""
    return (
        f"Done. OK={summary.ok} CACHED={summary.cached} FAILED={summary.failed} "
        f"SKIPPED={summary.skipped} in {text.duration(summary.seconds)}, "
        f"peak {text.size(summary.peak_memory)}"
    )


def _store_option(store: Path) -> str:
    return "" if store == STORE else f" --store {store}"
