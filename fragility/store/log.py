"""The log: one safetensors file a finished batch, whose appearance under its name is the commit."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from fragility.errors import StoreDamagedError, StoreError
from fragility.store.columns import Columns, decode_text, encode_text, is_text, normalize, storable
from fragility.store.files import write_atomic

FORMAT = 2
LONG_WORDS = 2**16
"""Characters of a column's distinct texts up to which the header holds them: it is read often."""

SUFFIX = ".safetensors"


@dataclass(frozen=True)
class TaskResult:
    """How a task ended; `seconds` is its share of the batch's wall time."""

    task_id: str
    kind: str
    status: Literal["ok", "failed"]
    message: str | None
    seconds: float


@dataclass(frozen=True)
class BatchRecord:
    """Everything a finished batch leaves behind.

    `tables` holds facts: table, then column, then rows; the column `task` is the position in
    `tasks`. `arrays` holds raw material for later tasks; the leading axis runs over `tasks`.
    `finished` is ISO 8601, UTC unless it says otherwise.
    """

    batch_id: str
    finished: str
    tasks: tuple[TaskResult, ...]
    tables: Mapping[str, Columns] = field(default_factory=dict)
    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class Header:
    """What is known of a record without reading its arrays.

    `texts` maps text columns to their words, or to None where the words are an array of their own.
    """

    batch_id: str
    finished: str
    tasks: tuple[TaskResult, ...]
    texts: Mapping[str, Mapping[str, list[str] | None]]

    @property
    def moment(self) -> datetime:
        """`finished` as naive UTC."""
        return utc(self.finished)


def utc(text: str) -> datetime:
    """Returns an ISO 8601 moment as naive UTC.

    Raises:
        ValueError: `text` is not ISO 8601.
    """
    moment = datetime.fromisoformat(text)
    return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment


def write_record(root: Path, record: BatchRecord) -> Path:
    """Returns the file under `root/log` that now holds `record`, durably.

    A batch that was finished before gets another file, `<batch_id>.<n>.safetensors`.

    Raises:
        ValueError: the record contradicts itself (a row of a task it has not, columns of unequal
            length, an array that does not run over the tasks).
        StoreError: the file cannot be written.
    """
    utc(record.finished)
    tensors: dict[str, NDArray[Any]] = {}
    texts: dict[str, dict[str, list[str] | None]] = {}
    for table, columns in record.tables.items():
        texts[table] = {}
        for column, values in _checked(record, table, columns).items():
            if is_text(values):
                values, words = encode_text(values)
                long = sum(map(len, words)) > LONG_WORDS
                texts[table][column] = None if long else words
                if long:
                    tensors[f"words/{table}/{column}"] = _packed(words)
            tensors[f"table/{table}/{column}"] = values
    for name, array in record.arrays.items():
        if array.ndim == 0 or len(array) != len(record.tasks):
            raise ValueError(f"array {name} must have {len(record.tasks)} rows, one a task")
        # safetensors writes the memory of a strided array as if it were contiguous.
        tensors[f"array/{name}"] = np.asarray(array, order="C")
    header = {
        # Versions that know only the first format read what needs no more.
        "format": FORMAT if any(name.startswith("words/") for name in tensors) else 1,
        "batch_id": record.batch_id,
        "finished": record.finished,
        "tasks": [_task(task) for task in record.tasks],
        "texts": texts,
    }
    path = _free_name(root / "log", record.batch_id)
    write_atomic(path, save(tensors, metadata={"fragility": json.dumps(header)}))
    return path


def _task(task: TaskResult) -> list[Any]:
    message = None if task.message is None else storable(task.message)
    return [task.task_id, task.kind, task.status, message, task.seconds]


def _checked(record: BatchRecord, table: str, columns: Columns) -> dict[str, NDArray[Any]]:
    normal = {column: normalize(values) for column, values in columns.items()}
    if len({values.shape for values in normal.values()}) > 1:
        raise ValueError(f"columns of {table} have unequal lengths")
    tasks = normal.get("task")
    if tasks is None or tasks.ndim != 1 or (tasks.size and tasks.dtype.kind not in "iu"):
        raise ValueError(f"{table} needs an integer column `task`")
    if tasks.size and not 0 <= tasks.min() <= tasks.max() < len(record.tasks):
        raise ValueError(f"{table} has rows of tasks that the record has not")
    return normal | {"task": tasks.astype(np.int32)}


def _free_name(folder: Path, batch_id: str) -> Path:
    path, attempt = folder / f"{batch_id}{SUFFIX}", 0
    while path.exists():
        attempt += 1
        path = folder / f"{batch_id}.{attempt}{SUFFIX}"
    return path


def order(path: Path) -> tuple[str, int]:
    """Returns the key by which records that finished at the same instant are ordered."""
    stem, _, attempt = path.name.removesuffix(SUFFIX).rpartition(".")
    return (
        (stem, int(attempt)) if stem and attempt.isdigit() else (path.name.removesuffix(SUFFIX), 0)
    )


def record_files(root: Path) -> Iterator[Path]:
    """Yields the records under `root/log`, in an arbitrary order; temporaries are not records."""
    yield from (root / "log").glob(f"[!.]*{SUFFIX}")


def read_header(path: Path) -> Header:
    """Returns a record's header, having checked that the file is as long as it says.

    Raises:
        StoreDamagedError: the file is not a whole record.
        StoreError: a newer version of fragility wrote it.
    """
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            size = path.stat().st_size
            if length > size:
                raise ValueError("header longer than the file")
            layout = json.loads(file.read(length))
        metadata = json.loads(layout.pop("__metadata__")["fragility"])
        ends = [entry["data_offsets"][1] for entry in layout.values()]
        if 8 + length + max(ends, default=0) != size:
            raise ValueError("not as long as its header says")
        return _header(path, metadata)
    except (ValueError, KeyError, TypeError, AttributeError, struct.error, OSError) as error:
        raise damaged(path, error) from error


def _header(path: Path, metadata: Mapping[str, Any]) -> Header:
    if metadata["format"] > FORMAT:
        raise StoreError(
            f"`{path}` was written by a newer version of fragility.",
            "Upgrade fragility to read it.",
        )
    tasks = tuple(TaskResult(*task) for task in metadata["tasks"])
    header = Header(metadata["batch_id"], metadata["finished"], tasks, metadata["texts"])
    utc(header.finished)
    return header


def damaged(path: Path, error: Exception) -> StoreDamagedError:
    """Returns the error for a log file that cannot be read, with what to do about it."""
    return StoreDamagedError(
        f"`{path}` is damaged: {error}.",
        "Delete this file and run the study again: what it held is computed anew, and only that.",
    )


def read_table(path: Path, header: Header, table: str) -> dict[str, NDArray[Any]]:
    """Returns a record's rows of one fact table, `task` included; empty if it has none."""
    prefix = f"table/{table}/"
    columns = _read(path, prefix)
    texts = dict(header.texts.get(table, {}))
    if None in texts.values():
        apart = _read(path, f"words/{table}/")
        texts |= {name: json.loads(words.tobytes()) for name, words in apart.items()}
    return {
        name: decode_text(values, texts.get(name) or []) if name in texts else values
        for name, values in columns.items()
    }


def _packed(words: list[str]) -> NDArray[np.uint8]:
    return np.frombuffer(json.dumps(words).encode(), dtype=np.uint8)


def read_record(path: Path) -> BatchRecord:
    """Returns the record that `write_record` wrote to `path`.

    Raises:
        StoreDamagedError: the file is not a whole record.
    """
    header = read_header(path)
    tables = {table: read_table(path, header, table) for table in header.texts}
    return BatchRecord(
        header.batch_id, header.finished, header.tasks, tables, _read(path, "array/")
    )


def read_arrays(path: Path, position: int, names: tuple[str, ...]) -> dict[str, NDArray[Any]]:
    """Returns one task's slice of the named arrays (of all, if none are named).

    Raises:
        KeyError: the record has no such array.
        StoreDamagedError: the file is not a whole record.
    """
    try:
        with safe_open(path, "np") as file:
            known = [key.removeprefix("array/") for key in file.keys() if key.startswith("array/")]  # noqa: SIM118
            for name in names:
                if name not in known:
                    raise KeyError(f"{path.name} has no array {name}; it has {sorted(known)}")
            slices = {name: file.get_slice(f"array/{name}") for name in names or known}
            return {name: part[position : position + 1][0] for name, part in slices.items()}
    except (SafetensorError, OSError) as error:
        raise damaged(path, error) from error


def _read(path: Path, prefix: str) -> dict[str, NDArray[Any]]:
    try:
        with safe_open(path, "np") as file:
            keys = [key for key in file.keys() if key.startswith(prefix)]  # noqa: SIM118
            return {key.removeprefix(prefix): file.get_tensor(key) for key in keys}
    except (SafetensorError, OSError) as error:
        raise damaged(path, error) from error
