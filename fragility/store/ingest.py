"""From log files to rows: what is in the log and not in the database is added to it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
from numpy.typing import NDArray

from fragility.store import log, runs
from fragility.store.columns import is_text
from fragility.store.schema import FACTS, PLAN_TABLES, TASK_RESULTS, Table

_GROUP_FILES = 500
_GROUP_BYTES = 200_000_000

Rows = dict[str, NDArray[Any]]
Rank = tuple[datetime, tuple[str, int]]


@dataclass(frozen=True)
class Place:
    """A task's latest result and where in the log it stands."""

    result: log.TaskResult
    batch_id: str
    finished: datetime
    record: str
    position: int

    @property
    def rank(self) -> Rank:
        """The later of two results is the one with the higher rank; no two are equal."""
        return rank(self.finished, self.record)


def rank(finished: datetime, record: str) -> Rank:
    """Returns the key of which the highest wins when a task was finished more than once."""
    return finished, log.order(Path(record))


def places(header: log.Header, record: str) -> Iterator[Place]:
    """Yields the place of every task of a record."""
    for position, result in enumerate(header.tasks):
        yield Place(result, header.batch_id, header.moment, record, position)


def latest(found: Iterator[Place], into: dict[str, Place]) -> None:
    """Puts every place into `into` unless the task has a later result there."""
    for place in found:
        known = into.get(place.result.task_id)
        if known is None or known.rank < place.rank:
            into[place.result.task_id] = place


def ingest(connection: duckdb.DuckDBPyConnection, root: Path, files: Mapping[str, int]) -> None:
    """Adds log files (name below `root/log` -> bytes) to the database, in few transactions.

    A transaction holds whole files and their entries in `log_files`.
    """
    for group in _groups(files):
        with _transaction(connection):
            records = {name for name in group if name.endswith(log.SUFFIX)}
            for name in group:
                if name not in records:
                    _ingest_json(connection, root / "log" / name)
            _ingest_records(connection, root, sorted(records))
            names = {"name": _texts(group), "bytes": np.array([files[name] for name in group])}
            _insert(connection, "log_files", {"name": "VARCHAR", "bytes": "BIGINT"}, names)


class _transaction:  # noqa: N801 - reads as a statement
    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection

    def __enter__(self) -> None:
        self._connection.begin()

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self._connection.commit()
        else:
            self._connection.rollback()


def _groups(files: Mapping[str, int]) -> Iterator[list[str]]:
    # An end updates the row that its start made: starts sort before all ends.
    names = sorted(files, key=lambda name: (name.endswith(runs.END), name))
    group: list[str] = []
    size = 0
    for name in names:
        group.append(name)
        size += files[name]
        if len(group) >= _GROUP_FILES or size >= _GROUP_BYTES:
            yield group
            group, size = [], 0
    if group:
        yield group


def _ingest_json(connection: duckdb.DuckDBPyConnection, path: Path) -> None:
    if path.name.endswith(runs.START):
        _ingest_start(connection, runs.read_json(path, runs.RunStart))
    elif path.name.endswith(runs.END):
        _ingest_end(connection, runs.read_json(path, runs.RunEnd))
    else:
        _ingest_plan(connection, path, runs.read_json(path, runs.PlanRecord))


def _ingest_start(connection: duckdb.DuckDBPyConnection, run: runs.RunStart) -> None:
    values = vars(run) | {
        "overrides": json.dumps(run.overrides),
        "versions": json.dumps(run.versions),
        "started": log.utc(run.started),
        "status": "running",
    }
    names = ", ".join(values)
    marks = ", ".join("?" for _ in values)
    connection.execute(f"INSERT INTO runs ({names}) VALUES ({marks})", list(values.values()))


def _ingest_end(connection: duckdb.DuckDBPyConnection, run: runs.RunEnd) -> None:
    values = vars(run) | {"finished": None if run.finished is None else log.utc(run.finished)}
    run_id, skips = values.pop("run_id"), values.pop("skips")
    changes = ", ".join(f"{name} = ?" for name in values)
    connection.execute(f"UPDATE runs SET {changes} WHERE run_id = ?", [*values.values(), run_id])
    rows = {
        "run_id": _texts([run_id] * len(skips)),
        "task_id": _texts(list(skips)),
        "reason": _texts(list(skips.values())),
    }
    _insert(connection, "run_skips", dict.fromkeys(rows, "VARCHAR"), rows)


def _ingest_plan(connection: duckdb.DuckDBPyConnection, path: Path, plan: runs.PlanRecord) -> None:
    for part, table in PLAN_TABLES.items():
        columns = getattr(plan, part)
        length = len(next(iter(columns.values()), ()))
        rows = {"plan_id": _texts([plan.plan_id] * length)}
        try:
            # A plan of an older version lacks columns that have come since.
            rows |= {
                name: _typed(columns.get(name, [None] * length), kind)
                for name, kind in _own(table, "plan_id")
            }
        except (KeyError, ValueError, TypeError) as error:
            raise log.damaged(path, error) from error
        _insert(connection, table.name, table.types(), rows)


def _own(table: Table, *others: str) -> list[tuple[str, str]]:
    return [(name, kind) for name, kind in table.types().items() if name not in others]


def _typed(values: Sequence[Any], kind: str) -> NDArray[Any]:
    if kind == "VARCHAR":
        return _texts(values)
    missing = [value is None for value in values]
    filled = [0 if value is None else value for value in values]
    return np.ma.masked_array(np.array(filled, dtype=np.int64), missing)


def _ingest_records(connection: duckdb.DuckDBPyConnection, root: Path, names: list[str]) -> None:
    headers = {name: log.read_header(root / "log" / name) for name in names}
    before = _known(connection, {t.task_id for header in headers.values() for t in header.tasks})
    now: dict[str, Place] = {}
    for name, header in headers.items():
        latest(places(header, name), now)
    fresh = {t: place for t, place in now.items() if t not in before or before[t] < place.rank}
    _remove(connection, [task_id for task_id in fresh if task_id in before])
    _insert(connection, TASK_RESULTS.name, TASK_RESULTS.types(), _result_rows(fresh))
    for table in FACTS.values():
        parts = [
            _fact_rows(root / "log" / name, name, header, table, fresh)
            for name, header in headers.items()
            if table.name in header.texts
        ]
        if parts := [part for part in parts if part["task_id"].size]:
            rows = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
            _insert(connection, table.name, table.types(), rows)


def _known(connection: duckdb.DuckDBPyConnection, task_ids: set[str]) -> dict[str, Rank]:
    found = connection.execute(
        "SELECT task_id, finished, record FROM task_results"
        " WHERE task_id IN (SELECT unnest(?::VARCHAR[]))",
        [list(task_ids)],
    ).fetchall()
    return {task_id: rank(finished, record) for task_id, finished, record in found}


def _remove(connection: duckdb.DuckDBPyConnection, task_ids: list[str]) -> None:
    if task_ids:
        for table in (TASK_RESULTS, *FACTS.values()):
            connection.execute(
                f"DELETE FROM {table.name} WHERE task_id IN (SELECT unnest(?::VARCHAR[]))",
                [task_ids],
            )


def _result_rows(fresh: Mapping[str, Place]) -> Rows:
    found = list(fresh.values())
    return {
        "task_id": _texts(list(fresh)),
        "kind": _texts([place.result.kind for place in found]),
        "status": _texts([place.result.status for place in found]),
        "message": _texts([place.result.message for place in found]),
        "seconds": np.array([place.result.seconds for place in found], dtype=np.float64),
        "batch_id": _texts([place.batch_id for place in found]),
        "finished": np.array([place.finished for place in found], dtype="datetime64[us]"),
        "record": _texts([place.record for place in found]),
        "position": np.array([place.position for place in found], dtype=np.int64),
    }


def _fact_rows(
    path: Path, name: str, header: log.Header, table: Table, fresh: Mapping[str, Place]
) -> Rows:
    """Returns the rows of the record's tasks that succeeded here and nowhere later."""
    columns = log.read_table(path, header, table.name)
    task = columns.pop("task")
    ids = _texts([result.task_id for result in header.tasks])
    shown = np.array(
        [
            result.status == "ok"
            and (place := fresh.get(result.task_id)) is not None
            and (place.record, place.position) == (name, position)
            for position, result in enumerate(header.tasks)
        ],
        dtype=bool,
    )
    if not shown.all():
        rows = shown[task]
        columns = {column: values[rows] for column, values in columns.items()}
        task = task[rows]
    facts = {"task_id": ids[task]}
    for column, kind in _own(table, "task_id"):
        facts[column] = _fact_column(columns.get(column), kind, len(task))
    return facts


def _fact_column(values: NDArray[Any] | None, kind: str, length: int) -> NDArray[Any]:
    if values is None or (is_text(values) and kind != "VARCHAR"):
        return np.full(length, None if kind == "VARCHAR" else np.nan)
    if is_text(values):
        return values
    return values.astype(np.float64 if values.dtype.kind == "f" else np.int64)


def _insert(
    connection: duckdb.DuckDBPyConnection, table: str, types: Mapping[str, str], rows: Rows
) -> None:
    if not next(iter(rows.values())).size:
        return
    names = ", ".join(f'"{name}"' for name in rows)
    values = ", ".join(
        f'(CASE WHEN isnan("{name}") THEN NULL ELSE "{name}" END)::{types[name]}'
        if column.dtype.kind == "f"
        else f'"{name}"::{types[name]}'
        for name, column in rows.items()
    )
    connection.register("rows", rows)
    connection.execute(f"INSERT INTO {table} ({names}) SELECT {values} FROM rows")
    connection.unregister("rows")


def _texts(values: Sequence[str | None]) -> NDArray[Any]:
    column = np.empty(len(values), dtype=object)
    column[:] = values
    return column
