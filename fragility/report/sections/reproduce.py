"""Reproduce: the study as run, the command, the versions, and what every table holds."""

from __future__ import annotations

import json

from fragility.report.context import Context
from fragility.report.parts import Section, data_table
from fragility.report.sections.head import device, mapping
from fragility.report.text import count, duration, memory
from fragility.report.yaml import pieces
from fragility.store import report_queries as ask
from fragility.store.queries import PUBLIC


def section(context: Context) -> Section:
    """Returns everything that is needed to run the study again and to ask more of its rows."""
    run = context.source.run
    overrides = json.loads(run["overrides"] or "[]")
    tasks = context.source.fetch(ask.TASKS)
    data = {
        "command": run["command"] or "",
        "overrides": [str(item) for item in overrides],
        "study": list(pieces((run["study_text"] or "").rstrip("\n"))),
        "facts": [
            ("seed of the study", str(run["seed"])),
            ("plan", run["plan_id"]),
            ("run", run["run_id"]),
            ("predicted", duration(run["predicted_seconds"])),
            ("took", duration(run["seconds"])),
            ("peak memory", memory(run["peak_memory"])),
            ("device", device(run)),
            *((name, str(version)) for name, version in mapping(run["versions"]).items()),
        ],
        "tasks": [
            [row["kind"], row["status"], count(row["tasks"]), duration(row["seconds"])]
            for row in tasks.dicts
        ],
        "tables": [data_table(tasks), data_table(context.source.fetch(ask.CELLS))],
        "schema": PUBLIC,
        "query": f'fragility query --run {run["run_id"]} "SELECT * FROM agreements"',
    }
    return Section("reproduce", "Reproduce", data)
