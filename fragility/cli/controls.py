"""What `run` and `plan` say of the controls that come before a study."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from fragility.cli import text

if TYPE_CHECKING:
    from fragility.execution.run import RunOptions


def run_first(store: Path, options: RunOptions, *, quiet: bool, json_: bool) -> None:
    """Runs what is left of the controls and says how they came out.

    One line on stderr, or one JSON object on stdout; nothing where nothing was left to run. A
    failure stops nothing: the report says it before any verdict. An interruption is exit code 130.
    """
    from fragility.execution import controls
    from fragility.report.controls import stored
    from fragility.report.source import Source
    from fragility.store.queries import connect

    summaries = controls.run_controls(store, options)
    if not summaries:
        return
    if summaries[-1].interrupted:
        print("Interrupted. The same command continues where it stopped.", file=sys.stderr)
        raise typer.Exit(130)
    with connect(store) as connection:
        found = stored(Source(connection, summaries[-1].run_id))
    total, failed = len(found.rows), found.failed
    if json_:
        told = {"event": "controls_run", "controls": total, "failed": failed}
        print(json.dumps(told), flush=True)
    elif not quiet:
        took = text.duration(sum(summary.seconds for summary in summaries))
        names = f"; failed: {', '.join(failed)}" if failed else ""
        passed = total - len(failed)
        print(f"controls: {passed} of {total} passed in {took}{names}", file=sys.stderr, flush=True)


def announced(store: Path) -> tuple[int, str]:
    """Returns how many tasks of the controls a run would compute first, and a line that says so."""
    from fragility.execution.controls import waiting

    tasks = sum(part.tasks for part in waiting(store))
    line = f"Before it, the controls: {text.plural(tasks, 'task')}, a few seconds"
    return tasks, f"{line} (`controls: false` leaves them out)"
