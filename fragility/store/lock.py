"""One writer at a time: an advisory lock that ends with the process that holds it."""

from __future__ import annotations

import fcntl
import os
import time
from dataclasses import dataclass
from pathlib import Path

from fragility.errors import StoreLockedError

_PAUSE = 0.02


@dataclass(frozen=True)
class Lock:
    """The right to write to a store, held until `release`."""

    descriptor: int

    def release(self) -> None:
        """Gives the right back."""
        os.close(self.descriptor)


def acquire(path: Path, wait: float = 1.0) -> Lock:
    """Returns the lock at `path`, trying for `wait` seconds: a reader may hold it for a moment.

    Raises:
        StoreLockedError: another process holds it; the message names its process id.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    deadline = time.monotonic() + wait
    while not _try(descriptor, fcntl.LOCK_EX):
        if time.monotonic() > deadline:
            os.close(descriptor)
            raise StoreLockedError(
                f"The store `{path.parent}` is being written to by process {_written(path)}.",
                "Wait until it ends, stop it, or choose another folder with --store.",
            )
        time.sleep(_PAUSE)
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, str(os.getpid()).encode(), 0)
    return Lock(descriptor)


def holder(path: Path) -> str | None:
    """Returns the id of the process that holds the lock at `path`, or None."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return None if _try(descriptor, fcntl.LOCK_SH) else _written(path)
    finally:
        os.close(descriptor)


def _try(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _written(path: Path) -> str:
    return path.read_text().strip() or "unknown"
