"""Reading: safe connections for `fragility query` and for reports, one statement at a time."""

from __future__ import annotations

import os
import re
import time
from dataclasses import dataclass
from pathlib import Path

import duckdb

from fragility.errors import (
    FragilityError,
    QueryError,
    StoreError,
    StoreLockedError,
    UsageError,
    did_you_mean,
)
from fragility.store import lock, runs
from fragility.store.database import (
    DatabaseBusyError,
    database_path,
    ingested,
    log_files,
    open_database,
)
from fragility.store.schema import RUNS
from fragility.store.store import Store
from fragility.store.views import RUN_VARIABLE, VIEWS

PUBLIC = (RUNS, *(view.table for view in VIEWS))
"""The documented tables that queries are written against."""

FORMATS = {
    ".csv": "FORMAT csv, HEADER true",
    ".json": "FORMAT json, ARRAY true",
    ".parquet": "FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 12",
}
_WAIT = 5.0
_SAFE = {"enable_external_access": "false", "lock_configuration": "true"}


@dataclass(frozen=True)
class Result:
    """What a query returned: column names, their DuckDB types, and the rows."""

    columns: tuple[str, ...]
    types: tuple[str, ...]
    rows: list[tuple[object, ...]]


def connect(root: Path, run: str | None = None) -> duckdb.DuckDBPyConnection:
    """Returns a connection that can read the store and nothing else; usable in a `with`.

    The views show the newest run of each study, or `run` (see `resolve_run`). If no run is going on
    and the database lags behind the log, it is brought in step first; while one is, it lags by
    about two seconds.

    Raises:
        UsageError: there is no store, or no such run.
        StoreLockedError: a writer keeps the database for longer than a few seconds.
        StoreDamagedError: a file of the log cannot be read.
    """
    connection = _open(root, _SAFE)
    try:
        if run is not None:
            _choose(connection, run)
        return connection
    except BaseException:
        connection.close()
        raise


def query(root: Path, sql: str, run: str | None = None) -> Result:
    """Returns what one reading statement returns; see `connect` for `run` and the errors.

    Raises:
        QueryError: the SQL is refused: not one reading statement, or not valid.
    """
    with connect(root, run) as connection:
        statement = _one_statement(connection, sql)
        try:
            cursor = connection.execute(statement)
            described = cursor.description or []
            rows = cursor.fetchall()
        except duckdb.Error as error:
            raise _explained(error) from error
    names = tuple(str(column[0]) for column in described)
    return Result(names, tuple(str(column[1]) for column in described), rows)


def export(root: Path, sql: str, path: Path, run: str | None = None) -> None:
    """Writes what one reading statement returns to a .csv, .json or .parquet file.

    The file is replaced as a whole, or left alone when something goes wrong.

    Raises:
        UsageError: the file's ending is another one, or its folder is not there.
        QueryError: the SQL is refused.
    """
    if path.suffix not in FORMATS:
        raise UsageError(f"`{path}` must end in one of {', '.join(FORMATS)}.")
    if not path.parent.is_dir():
        raise UsageError(f"There is no folder `{path.parent}`.")
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp").absolute()
    target = _literal(str(temporary))
    with _open(root, {}) as connection:
        if run is not None:
            _choose(connection, run)
        statement = _one_statement(connection, sql)
        connection.execute(f"SET allowed_paths = [{target}]")
        for name, value in _SAFE.items():
            connection.execute(f"SET {name} = {value}")
        try:
            # DuckDB would write to a name of its own first, which is not the allowed one.
            options = f"{FORMATS[path.suffix]}, USE_TMP_FILE false"
            connection.execute(f"COPY (FROM ({statement}\n)) TO {target} ({options})")
            temporary.replace(path)
        except duckdb.Error as error:
            raise _explained(error) from error
        finally:
            temporary.unlink(missing_ok=True)


def resolve_run(root: Path, text: str) -> str:
    """Returns the run that `text` means: its id, the beginning of its id, or a study's newest run.

    Raises:
        UsageError: no run or several runs are called so.
    """
    with connect(root) as connection:
        return _resolve(connection, text)


def _choose(connection: duckdb.DuckDBPyConnection, run: str) -> None:
    run_id = _resolve(connection, run)
    connection.execute(f"SET VARIABLE {RUN_VARIABLE} = {_literal(run_id)}")


def _resolve(connection: duckdb.DuckDBPyConnection, text: str) -> str:
    found = connection.execute(
        "SELECT run_id, study FROM runs ORDER BY started DESC, run_id DESC"
    ).fetchall()
    for run_id, study in found:
        if text in (run_id, study):
            return str(run_id)
    begins = [str(run_id) for run_id, _ in found if text and run_id.startswith(text)]
    if len(begins) == 1:
        return begins[0]
    if begins:
        listed = ", ".join(f"`{run_id}`" for run_id in begins[:5])
        raise UsageError(f"`{text}` begins the ids of {len(begins)} runs: {listed}.", "Say more.")
    names = sorted({str(name) for row in found for name in row})
    raise UsageError(
        f"No run or study in the store is called `{text}`.{did_you_mean(text, names)}",
        "See them all: fragility runs",
    )


def _open(root: Path, config: dict[str, str]) -> duckdb.DuckDBPyConnection:
    if not (root / "log").is_dir():
        raise UsageError(
            f"There is no store at `{root}`.",
            "Start one with `fragility run quickstart`, or name its folder with --store.",
        )
    connection = _try_open(root, config)
    if connection is not None:
        if _writing(root) or _in_step(connection, root):
            return connection
        connection.close()
    failure = _catch_up(root)
    connection = _try_open(root, config)
    if connection is None:
        raise failure or StoreError(f"`{database_path(root)}` cannot be read.")
    return connection


def _try_open(root: Path, config: dict[str, str]) -> duckdb.DuckDBPyConnection | None:
    try:
        return open_database(database_path(root), read_only=True, wait=_WAIT, config=config)
    except DatabaseBusyError as error:
        raise StoreLockedError(
            f"The database of `{root}` is in use: {error}.", "Try again in a moment."
        ) from error
    except duckdb.Error:
        return None


def _writing(root: Path) -> bool:
    return lock.holder(root / "lock") is not None


def _in_step(connection: duckdb.DuckDBPyConnection, root: Path) -> bool:
    try:
        same = ingested(connection) == log_files(root)
    except duckdb.Error:
        return False
    return same and not any(runs.unended(root))


def _catch_up(root: Path) -> FragilityError | None:
    """Does what the next writer would do first; returns why that was not possible, if it was not.

    A writer may be at it right now, or the folder may be one that we can only read.
    """
    deadline = time.monotonic() + _WAIT
    while True:
        try:
            Store.open(root, write=True).close()
            return None
        except StoreLockedError as error:
            if database_path(root).exists() or time.monotonic() > deadline:
                return error
        except StoreError as error:
            if type(error) is not StoreError:
                raise
            return error


def _one_statement(connection: duckdb.DuckDBPyConnection, sql: str) -> str:
    try:
        statements = connection.extract_statements(sql)
    except duckdb.Error as error:
        raise _explained(error) from error
    if len(statements) != 1:
        count = "several statements" if statements else "no statement"
        raise QueryError(f"This is {count}.", "Give one, for example: SELECT * FROM agreements")
    kind = statements[0].type.name
    if kind == "MULTI":
        raise QueryError("PIVOT needs its values here.", "Write PIVOT ... ON column IN (...).")
    if kind not in ("SELECT", "EXPLAIN"):
        raise QueryError(f"{kind} is refused: the store can only be read.", "Write a SELECT.")
    return statements[0].query.strip().rstrip(";")


def _explained(error: duckdb.Error) -> QueryError:
    text = str(error).strip()
    missing = re.search(r"Table with name (\S+) does not exist", text)
    if missing is None:
        return QueryError(text)
    # DuckDB suggests any table, its own catalogue's included.
    names = [table.name for table in PUBLIC]
    near = did_you_mean(missing[1], names).strip()
    return QueryError(text.splitlines()[0], f"{near} Tables: {', '.join(names)}.".strip())


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
