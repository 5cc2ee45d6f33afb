"""Which run is meant."""

from __future__ import annotations

from pathlib import Path

from fragility.errors import UsageError
from fragility.store import cli_queries, queries


def find_run(root: Path, subject: str | None) -> tuple[str, str]:
    """Returns the id and the study of a run.

    The newest one whose study was called `subject` (a file, or a shipped study), else what
    `queries.resolve_run` understands; the newest of all when `subject` is None.

    Raises:
        UsageError: nothing was run in the store, or no run is called so.
    """
    known = queries.query(root, cli_queries.RUN_IDS.sql).rows
    if not known:
        raise UsageError(f"No run in `{root}` yet.", "Start one: fragility run quickstart")
    for run_id, study, called in known:
        if subject is None or _same(subject, str(called)):
            return str(run_id), str(study)
    found = queries.resolve_run(root, str(subject))
    return next((str(run_id), str(study)) for run_id, study, _ in known if run_id == found)


def _same(subject: str, called: str) -> bool:
    return subject == called or (
        Path(subject).is_file() and Path(subject).resolve() == Path(called).resolve()
    )
