"""What is wrong with a store and what to do about it, for `fragility doctor`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import duckdb

from fragility.errors import StoreError
from fragility.store import database, log, runs


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong: `message` says what and where, `hint` what to do."""

    message: str
    hint: str

    def __str__(self) -> str:
        return f"{self.message} {self.hint}"


def check(root: Path) -> list[Finding]:
    """Returns everything that is wrong with a store; changes nothing. No store has no faults.

    Every file of the log is read (headers of records), every model is looked for. A database that
    lags behind the log, and what an interrupted run left, are no faults: the next run or query
    mends them.
    """
    if not (root / "log").is_dir():
        return []
    return [*_damaged_log(root), *_missing_models(root)]


def _damaged_log(root: Path) -> list[Finding]:
    found: list[Finding] = []
    for name in sorted(database.log_files(root)):
        path = root / "log" / name
        try:
            if name.endswith(log.SUFFIX):
                log.read_header(path)
            elif name.endswith(runs.START):
                runs.read_json(path, runs.RunStart)
            elif name.endswith(runs.END):
                runs.read_json(path, runs.RunEnd)
            else:
                runs.read_json(path, runs.PlanRecord)
        except StoreError as error:
            found.append(Finding(error.message, error.hint or ""))
    return found


def _missing_models(root: Path) -> list[Finding]:
    try:
        connection = database.open_database(database.database_path(root), read_only=True, wait=1.0)
    except (database.DatabaseBusyError, duckdb.Error):
        return []
    with connection:
        kept = connection.execute(
            "SELECT artifact, record FROM training_facts JOIN task_results USING (task_id)"
            " WHERE artifact IS NOT NULL ORDER BY ALL"
        ).fetchall()
    return [
        Finding(
            f"`{root / artifact}` is missing.",
            f"Delete `{root / 'log' / record}` and run the study again: it is trained anew.",
        )
        for artifact, record in kept
        if not (root / artifact).exists()
    ]
