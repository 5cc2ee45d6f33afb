"""The store: the only door through which results are written and read back for later tasks."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import duckdb
from numpy.typing import NDArray

from fragility.errors import StoreError
from fragility.store import database, lock, log, models, runs
from fragility.store.facts import conform
from fragility.store.files import temporaries
from fragility.store.ingest import Place, latest, places
from fragility.store.log import BatchRecord, TaskResult

BUFFER_SECONDS = 2.0
"""How far the database may lag behind the log while a run goes on."""

_TABLES_KEPT = 4


class Store:
    """What a folder of results holds: see `open`. A context manager."""

    def __init__(self, root: Path, held: lock.Lock | None, index: dict[str, Place]) -> None:
        self.root = root
        self._lock = held
        self._index = index
        self._tables: OrderedDict[tuple[str, str], dict[str, NDArray[Any]]] = OrderedDict()
        self._flushing = threading.Lock()
        self._timer: threading.Timer | None = None
        # The log that the database was last brought in step with.
        self._in_step: dict[str, int] = {}

    @classmethod
    def open(cls, root: Path, *, write: bool) -> Self:
        """Returns the store in the folder `root`.

        With `write` the folder is made, other writers are kept out, what interrupted writers left
        is cleaned up, and the database is brought in step with the log. Without it nothing in the
        folder changes, and a folder that is not there is an empty store.

        Raises:
            StoreLockedError: another process is writing.
            StoreDamagedError: a file of the log cannot be read.
            StoreError: the folder cannot be written.
        """
        if not write:
            return cls(root, None, _read_index(root))
        held = _claim(root)
        try:
            _clean(root)
            if not database.log_files(root) and not database.database_path(root).exists():
                # The first run makes it: opening a database takes longer than a small task.
                return cls(root, held, {})
            database.update(root, wait=1.0, replace=True)
            opened = cls(root, held, _read_index(root))
            opened._in_step = database.log_files(root)
            return opened
        except BaseException:
            held.release()
            raise

    @staticmethod
    def rebuild(root: Path) -> None:
        """Derives the database anew from the log.

        Raises:
            StoreLockedError: another process is writing.
            StoreDamagedError: a file of the log cannot be read.
        """
        held = _claim(root)
        try:
            _clean(root)
            database.rebuild(root)
        finally:
            held.release()

    def finished(self) -> dict[str, TaskResult]:
        """Returns the latest result of every task in the log, failed ones included."""
        return {task_id: place.result for task_id, place in self._index.items()}

    def commit(self, record: BatchRecord) -> None:
        """Makes a finished batch durable; the database follows within `BUFFER_SECONDS`.

        Raises:
            ValueError: the record contradicts itself or names a fact table or column there is not.
            StoreError: the log cannot be written; the batch is then not committed at all.
        """
        self._require_write()
        path = log.write_record(self.root, conform(record))
        latest(places(log.read_header(path), path.name), self._index)
        self._schedule()

    def arrays(self, task_id: str, *names: str) -> dict[str, NDArray[Any]]:
        """Returns a finished task's arrays, without the leading axis; all if none are named.

        Raises:
            KeyError: the task is not finished, or has no such array.
        """
        place = self._index[task_id]
        return log.read_arrays(self.root / "log" / place.record, place.position, names)

    def table(self, task_id: str, name: str) -> dict[str, NDArray[Any]]:
        """Returns a finished task's rows of a fact table, by column; empty if it has none.

        Numbers that are missing are NaN, texts that are missing None.

        Raises:
            KeyError: the task is not finished.
        """
        place = self._index[task_id]
        columns = self._table(place.record, name)
        if not columns:
            return {}
        rows = columns["task"] == place.position
        return {column: values[rows] for column, values in columns.items() if column != "task"}

    def _table(self, record: str, name: str) -> dict[str, NDArray[Any]]:
        # The tasks of a batch are usually asked for one after the other.
        key = (record, name)
        if key not in self._tables:
            path = self.root / "log" / record
            self._tables[key] = log.read_table(path, log.read_header(path), name)
            if len(self._tables) > _TABLES_KEPT:
                self._tables.popitem(last=False)
        return self._tables[key]

    def model_path(self, task_id: str) -> Path:
        """Returns where the parameters that a task trained are kept."""
        return models.model_path(self.root, task_id)

    def write_model(self, task_id: str, parameters: Mapping[str, NDArray[Any]]) -> None:
        """Keeps the parameters that a task trained, durably.

        Raises:
            StoreError: the file cannot be written.
        """
        self._require_write()
        models.write_model(self.root, task_id, parameters)

    def read_model(self, task_id: str, part: str = "") -> dict[str, NDArray[Any]]:
        """Returns the parameters that a task trained, or another part that it keeps beside them.

        Raises:
            KeyError: the task is not finished.
            StoreDamagedError: they are not there or cannot be read; the hint names the log file
                without which the task counts as not done.
        """
        return models.read_model(self.root, task_id + part, self._index[task_id].record)

    def start_run(self, run: runs.RunStart, plan: runs.PlanRecord) -> None:
        """Records that a run of a plan starts; readers see it at once."""
        self._require_write()
        runs.write_plan(self.root, plan)
        runs.write_start(self.root, run)
        self.flush()

    def end_run(self, run: runs.RunEnd) -> None:
        """Records how a run ended; readers see it at once."""
        self._require_write()
        runs.write_end(self.root, run)
        self.flush()

    def flush(self) -> None:
        """Brings the database in step with the log now; if a reader excludes that, a little later.

        Raises:
            StoreError: the database cannot be written.
        """
        with self._flushing:
            if self._lock is None:
                return
            try:
                self._follow_log(wait=0.2, replace=False)
            except database.DatabaseBusyError:
                self._schedule()

    def close(self) -> None:
        """Brings the database in step with the log and lets other writers in.

        Raises:
            StoreError: the database cannot be written; the log has everything all the same.
        """
        if (timer := self._timer) is not None:
            timer.cancel()
        with self._flushing:
            held, self._lock = self._lock, None
            if held is not None:
                try:
                    self._follow_log(wait=1.0, replace=True)
                finally:
                    held.release()

    def _follow_log(self, *, wait: float, replace: bool) -> None:
        """Brings the database in step with the log, unless it is: nobody else writes to either."""
        files = database.log_files(self.root)
        if files == self._in_step and database.database_path(self.root).exists():
            return
        database.update(self.root, wait=wait, replace=replace)
        self._in_step = files

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _schedule(self) -> None:
        if self._timer is None:
            self._timer = threading.Timer(BUFFER_SECONDS, self._follow)
            self._timer.daemon = True
            self._timer.start()

    def _follow(self) -> None:
        self._timer = None
        # What goes wrong here stays in the log; `close` tries again and says what it is.
        with suppress(StoreError):
            self.flush()

    def _require_write(self) -> None:
        if self._lock is None:
            raise ValueError("this store was opened for reading")


def _claim(root: Path) -> lock.Lock:
    try:
        (root / "log").mkdir(parents=True, exist_ok=True)
        return lock.acquire(root / "lock")
    except OSError as error:
        raise StoreError(
            f"`{root}` cannot be written: {error.strerror or error}.",
            "Choose another folder with --store, or mend it.",
        ) from error


def _clean(root: Path) -> None:
    """Removes half files and ends runs whose process is gone: we hold the lock, so it is."""
    database.remove_leftovers(root)
    for path in temporaries(root):
        path.unlink(missing_ok=True)
    for run_id in list(runs.unended(root)):
        runs.write_end(root, runs.RunEnd(run_id, "interrupted"))


def _read_index(root: Path) -> dict[str, Place]:
    """Returns the latest result of every task: from the database if it is in step, else the log."""
    cached = _cached_index(root)
    if cached is not None:
        return cached
    index: dict[str, Place] = {}
    for path in log.record_files(root):
        latest(places(log.read_header(path), path.name), index)
    return index


def _cached_index(root: Path) -> dict[str, Place] | None:
    try:
        connection = database.open_database(database.database_path(root), read_only=True, wait=0.2)
    except (database.DatabaseBusyError, duckdb.Error):
        return None
    try:
        if database.ingested(connection) != database.log_files(root):
            return None
        found = connection.execute(
            "SELECT task_id, kind, status, message, seconds, batch_id, finished, record, position"
            " FROM task_results"
        ).fetchall()
    except duckdb.Error:
        return None
    finally:
        connection.close()
    return {row[0]: Place(TaskResult(*row[:5]), *row[5:]) for row in found}
