"""What is known of a dataset's files without reading them again: their hash, labels and sizes.

The hash of many images takes seconds, and a plan needs it every time. It is kept in the user's
cache, beside what tells that a file is still the same: size, times of change, and inode.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fragility.datasets._files import content_digest
from fragility.errors import DataError
from fragility.identity import digest

FORMAT = 1
SETTLED = 2_000_000_000
"""Nanoseconds without change after which a file's times tell the next change for certain."""


@dataclass(frozen=True)
class Index:
    """What images are before their pixels are read.

    `shape` is that of one example as stored, `bytes` whether values are whole numbers from 0 to
    255, `train` (n,) and `test` (t,) are positions in `classes`.
    """

    shape: tuple[int, ...]
    bytes: bool
    classes: tuple[str, ...]
    train: NDArray[np.int64]
    test: NDArray[np.int64]


@dataclass(frozen=True)
class Known:
    """The hash of the files' content, and their index."""

    content: str
    index: Index


def known(kind: str, where: Path, files: Mapping[str, Path], read: Callable[[], Index]) -> Known:
    """Returns the hash and index of `files`, which `read` makes unless the cache has them.

    `files` maps the name under which a file counts in the hash to its path; `where` is the file or
    folder that they are, or are in.

    Raises:
        DataError: a file cannot be read.
    """
    stamp = _stamp(files)
    record = _cache() / f"{digest([FORMAT, kind, str(where)])}.json"
    if (before := _recorded(record, stamp)) is not None:
        return before
    content = digest([[name, content_digest(path)] for name, path in files.items()])
    found = Known(content, read())
    if _settled(files) and _stamp(files) == stamp:
        _record(record, stamp, found)
    return found


def _stamp(files: Mapping[str, Path]) -> str:
    """Returns a digest of what changes whenever one of the files does."""
    told = []
    for name, path in files.items():
        it = _stat(path)
        told.append([name, it.st_size, it.st_mtime_ns, it.st_ctime_ns, it.st_ino])
    return digest(told)  # type: ignore[arg-type]


def _settled(files: Mapping[str, Path]) -> bool:
    newest = max(_stat(path).st_ctime_ns for path in files.values())
    return time.time_ns() - newest > SETTLED


def _stat(path: Path) -> os.stat_result:
    try:
        return path.stat()
    except OSError as error:
        raise DataError(
            f"{path} cannot be read: {error.strerror}.", "Check its permissions."
        ) from error


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fragility" / "data"


def _recorded(record: Path, stamp: str) -> Known | None:
    # A record that is missing, damaged or of other files is made anew.
    with suppress(OSError, ValueError, KeyError, TypeError):
        value = json.loads(record.read_text(encoding="utf-8"))
        if value["stamp"] == stamp:
            index = value["index"]
            return Known(
                str(value["content"]),
                Index(
                    tuple(int(size) for size in index["shape"]),
                    bool(index["bytes"]),
                    tuple(str(name) for name in index["classes"]),
                    np.array(index["train"], dtype=np.int64),
                    np.array(index["test"], dtype=np.int64),
                ),
            )
    return None


def _record(record: Path, stamp: str, found: Known) -> None:
    index = found.index
    value = {
        "stamp": stamp,
        "content": found.content,
        "index": {
            "shape": index.shape,
            "bytes": index.bytes,
            "classes": index.classes,
            "train": index.train.tolist(),
            "test": index.test.tolist(),
        },
    }
    # Without a place to keep it, a plan only takes longer.
    with suppress(OSError):
        record.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(
            "w", encoding="utf-8", dir=record.parent, delete=False
        ) as stream:
            json.dump(value, stream)
        os.replace(stream.name, record)
