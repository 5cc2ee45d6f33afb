"""Files that are either whole or not there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from fragility.errors import StoreError

TEMPORARY = ".tmp"


def write_atomic(path: Path, data: bytes) -> None:
    """Writes `path` so that it holds all of `data` or does not change, whatever happens meanwhile.

    The bytes go to a temporary name in the same folder, reach the disk, and are then renamed. A
    power cut within seconds may undo the rename, as a whole.

    Raises:
        StoreError: the file cannot be written, for example because the disk is full.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}{TEMPORARY}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise StoreError(
            f"`{path}` cannot be written: {error.strerror or error}.",
            "Nothing that was finished is lost; make room or mend it and run again to continue.",
        ) from error


def temporaries(root: Path) -> Iterator[Path]:
    """Yields what interrupted writers left below `root`."""
    for folder in ("log", "log/runs", "log/plans", "models", "checkpoints"):
        yield from sorted((root / folder).glob(f".*{TEMPORARY}"))
