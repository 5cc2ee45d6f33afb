"""The database: derived from the log, brought in step with it, and built anew when it cannot be."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from pathlib import Path

import duckdb

from fragility.errors import StoreError
from fragility.store import log, runs
from fragility.store.ingest import ingest
from fragility.store.schema import SCHEMA_VERSION, TABLES
from fragility.store.views import VIEWS

_PAUSE = 0.02


class DatabaseBusyError(Exception):
    """Someone else has the database open in a way that excludes us."""


def database_path(root: Path) -> Path:
    """Returns where a store's database is."""
    return root / "fragility.duckdb"


def log_files(root: Path) -> dict[str, int]:
    """Returns every file of the log, relative to it, with its size in bytes."""
    folder = root / "log"
    found = [
        *log.record_files(root),
        *folder.glob(f"runs/[!.]*{runs.START}"),
        *folder.glob(f"runs/[!.]*{runs.END}"),
        *folder.glob("plans/[!.]*.json"),
    ]
    return {path.relative_to(folder).as_posix(): path.stat().st_size for path in found}


def ingested(connection: duckdb.DuckDBPyConnection) -> dict[str, int] | None:
    """Returns the log files a database was derived from; None if its tables are of another version.

    Raises:
        duckdb.Error: it is no database of ours.
    """
    (version,) = connection.execute("SELECT max(version) FROM schema").fetchone() or (None,)
    if version != SCHEMA_VERSION:
        return None
    return dict(connection.execute("SELECT name, bytes FROM log_files").fetchall())


def open_database(
    path: Path, *, read_only: bool, wait: float, config: Mapping[str, str] | None = None
) -> duckdb.DuckDBPyConnection:
    """Returns a connection, trying for `wait` seconds while someone else excludes us.

    Raises:
        DatabaseBusyError: someone else still does.
        duckdb.Error: there is no database, or it is damaged.
    """
    deadline = time.monotonic() + wait
    while True:
        try:
            return duckdb.connect(path, read_only=read_only, config={**(config or {})})
        except (duckdb.IOException, duckdb.ConnectionException) as error:
            # DuckDB has no class for "in use": by another process, or by this one.
            text = str(error)
            if "Could not set lock" not in text and "different configuration" not in text:
                raise
            if time.monotonic() > deadline:
                raise DatabaseBusyError(text) from error
        time.sleep(_PAUSE)


def update(root: Path, *, wait: float, replace: bool) -> None:
    """Brings the database in step with the log; the caller holds the store's lock.

    Adds what is missing in place. A reader excludes that while it has the database open: with
    `replace`, a copy is then updated and put in its place, and the reader keeps the old one.

    Raises:
        DatabaseBusyError: a reader has it open, and `replace` is false.
        StoreDamagedError: a file of the log cannot be read.
        StoreError: the database cannot be written.
    """
    path = database_path(root)
    if path.exists():
        try:
            if _extend(path, root, wait):
                return
        except DatabaseBusyError:
            if not replace:
                raise
            if not path.with_name(f"{path.name}.wal").exists():
                return _build(root, start=path)
        except duckdb.Error:
            pass  # Damaged, or cannot be written: building it anew tells which.
    return _build(root, start=None)


def _extend(path: Path, root: Path, wait: float) -> bool:
    """Adds missing log files to a database; returns whether that was possible."""
    connection = open_database(path, read_only=False, wait=wait)
    try:
        known, files = ingested(connection), log_files(root)
        if known is None or not known.items() <= files.items():
            return False
        ingest(connection, root, {name: size for name, size in files.items() if name not in known})
        return True
    finally:
        connection.close()


def rebuild(root: Path) -> None:
    """Derives the database anew from the log; the caller holds the store's lock."""
    _build(root, start=None)


def _build(root: Path, start: Path | None) -> None:
    fresh = root / "fragility.new.duckdb"
    remove_leftovers(root)
    try:
        if start is not None:
            shutil.copyfile(start, fresh)
            if not _extend(fresh, root, wait=0):
                return _build(root, start=None)
        else:
            _derive(fresh, root)
        database_path(root).with_name("fragility.duckdb.wal").unlink(missing_ok=True)
        fresh.replace(database_path(root))
    except (duckdb.Error, OSError) as error:
        remove_leftovers(root)
        raise StoreError(
            f"`{database_path(root)}` cannot be written: {error}.",
            "Nothing that was finished is lost; make room or mend it and run again to continue.",
        ) from error


def _derive(path: Path, root: Path) -> None:
    connection = duckdb.connect(path)
    try:
        # One transaction: of its own, each statement would wait for the disk.
        connection.begin()
        for table in TABLES:
            connection.execute(table.ddl())
        for view in VIEWS:
            connection.execute(view.ddl())
        connection.execute("INSERT INTO schema VALUES (?)", [SCHEMA_VERSION])
        connection.commit()
        ingest(connection, root, log_files(root))
    finally:
        connection.close()


def remove_leftovers(root: Path) -> None:
    """Removes what an interrupted rebuild left behind."""
    for name in ("fragility.new.duckdb", "fragility.new.duckdb.wal"):
        (root / name).unlink(missing_ok=True)
