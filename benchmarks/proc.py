"""The memory of this process, as Linux tells it; for processes that have none of our packages.

What `getrusage` calls a process's peak can be that of the process that started it: the size of the
one is inherited when it becomes the other. `VmHWM` is this one's own.
"""

from __future__ import annotations

from pathlib import Path


def resident_mib() -> float:
    """Resident memory now."""
    return _status("VmRSS")


def peak_resident_mib() -> float:
    """Resident memory at its largest."""
    return _status("VmHWM")


def _status(field: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    (found,) = (line for line in lines if line.startswith(f"{field}:"))
    return int(found.split()[1]) / 2**10
