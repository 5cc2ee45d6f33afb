"""`fragility runs` and `fragility show`: what is in the store."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from fragility.cli import completion, text
from fragility.cli.options import STORE, StoreOption


def runs(store: StoreOption = STORE) -> None:
    """List the runs of the store, newest first."""
    from fragility.store import cli_queries, queries

    result = queries.query(store, cli_queries.RUNS.sql)
    if not result.rows:
        print(f"{store}: no run yet. Start one: fragility run quickstart")
        return
    rows = [(*row[:-1], _time(row[-1])) for row in result.rows]
    print(text.table([*result.columns[:-1], "time"], rows))


def show(
    run: Annotated[
        str | None,
        typer.Argument(
            metavar="[RUN]",
            help="A run's id or a beginning of it, or a study; the newest run when omitted.",
            autocompletion=completion.runs,
        ),
    ] = None,
    store: StoreOption = STORE,
) -> None:
    """Show one run: how it was started, its tasks, its agreement."""
    from fragility.cli.agreement import agreement_table
    from fragility.cli.subject import find_run
    from fragility.store import cli_queries, queries

    run_id, _ = find_run(store, run)
    found = queries.query(store, cli_queries.run(run_id).sql)
    facts = dict(zip(found.columns, found.rows[0], strict=True))
    for name, value in _facts(facts):
        print(f"{name:<10} {text.cell(value)}")
    tasks = queries.query(store, cli_queries.TASKS.sql, run_id)
    rows = [(*row[:-1], _time(row[-1])) for row in tasks.rows]
    print("\n" + text.table([*tasks.columns[:-1], "time"], rows, indent="  "))
    if agreement := agreement_table(store, run_id):
        print("\n" + agreement)


def _facts(run: dict[str, object]) -> list[tuple[str, object]]:
    versions = json.loads(str(run["versions"] or "{}"))
    memory = run["peak_memory"]
    facts: list[tuple[str, object]] = [
        ("run", run["run_id"]),
        ("study", f"{run['study']} ({run['study_path']})"),
        ("command", run["command"]),
        ("status", run["status"]),
        ("started", run["started"]),
        ("took", _time(run["seconds"])),
        ("memory", text.size(memory) if isinstance(memory, int) else None),
        ("device", f"{run['device']}, {run['threads']} threads"),
        ("gradients", run["compilation"]),
        ("seed", run["seed"]),
        ("versions", ", ".join(f"{name} {version}" for name, version in versions.items())),
    ]
    return [(name, value) for name, value in facts if value is not None]


def _time(seconds: object) -> str:
    return text.duration(seconds) if isinstance(seconds, float) else "-"
