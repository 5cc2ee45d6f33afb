"""From a store to recorded values: the newest run of every study of the publication."""

from __future__ import annotations

from pathlib import Path

from fragility.errors import UsageError
from fragility.report.published import named_reference
from fragility.report.reproduction.page import REFERENCE
from fragility.report.source import Source
from fragility.store import cli_queries, queries, recorded


def export(root: Path, folder: Path) -> list[Path]:
    """Writes the values of a store's runs into a folder, one file a study; returns the files.

    Of the publication are the studies shipped under its name, and those that name it as reference.
    A study whose newest run is still going on is left out.

    Raises:
        UsageError: there is no store, or none of its studies is of the publication.
    """
    newest: dict[str, str] = {}
    for run_id, study, _ in queries.query(root, cli_queries.RUN_IDS.sql).rows:
        newest.setdefault(str(study), str(run_id))
    meant = [run_id for run_id in newest.values() if _meant(root, run_id)]
    if not meant:
        raise UsageError(
            f"No run in `{root}` names `{REFERENCE}` as its reference.",
            "Start with make reproduce.",
        )
    return recorded.record(root, meant, folder)


def _meant(root: Path, run_id: str) -> bool:
    with queries.connect(root, run_id) as connection:
        run = Source(connection, run_id).run
    if run["status"] == "running":
        return False
    named = named_reference(run)
    shipped = str(run["study_path"]).startswith(f"{REFERENCE}/")
    return shipped or (named is not None and named.name == REFERENCE)
