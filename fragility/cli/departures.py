"""The lines of a run that say where influence is not taken for the objective that was trained."""

from __future__ import annotations

from pathlib import Path

from fragility.store import queries, report_queries


def departures(root: Path, run_id: str) -> str:
    """Returns one line a regularization that departs; empty where none does."""
    with queries.connect(root, run_id) as connection:
        rows = connection.execute(report_queries.DEPARTURES.sql).fetchall()
    return "\n".join(f"  objective  {label}: {text}" for label, text in rows)
