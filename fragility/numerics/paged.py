"""Arrays larger than memory, in a file that the operating system pages in and out."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from functools import cache
from math import prod
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fragility.errors import DataError

ROWS = 4096
"""Examples converted at a time."""

_CONTAINER = Path("/sys/fs/cgroup/memory.max")


@cache
def resident_limit() -> int:
    """Returns the bytes of the largest array that is held in memory: half of what there is."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    # A container may have less than its machine; it says `max` where it has all.
    with suppress(OSError, ValueError):
        memory = min(memory, int(_CONTAINER.read_text()))
    return memory // 2


def paged_zeros(shape: tuple[int, ...], dtype: type[np.floating]) -> NDArray[np.floating]:
    """Returns zeros in memory, or where they are too many in a temporary file without a name.

    Raises:
        DataError: they are too many for memory, and for the folder of temporary files.
    """
    size = prod(shape) * np.dtype(dtype).itemsize
    if size <= resident_limit():
        return np.zeros(shape, dtype=dtype)
    with tempfile.TemporaryFile() as file:
        try:
            _reserve(file.fileno(), size)
        except OSError as error:
            raise DataError(
                f"{size / 1e9:.1f} GB of examples fit neither in memory nor in the folder of "
                f"temporary files {tempfile.gettempdir()}: {error.strerror}.",
                "Name a folder on a larger disk with TMPDIR, or take a `subset`.",
            ) from error
        return np.memmap(file, dtype=dtype, mode="r+", shape=shape)


def _reserve(file: int, size: int) -> None:
    # A file with holes would end the program where the disk turns out to be full.
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file, 0, size)
    else:
        os.ftruncate(file, size)


def converted(value: Tensor, dtype: torch.dtype) -> Tensor:
    """Returns examples (n, ...) in a floating precision, in a file where they are too many.

    Raises:
        DataError: as `paged_zeros`.
    """
    size = value.numel() * dtype.itemsize
    if value.dtype == dtype or value.device.type != "cpu" or size <= resident_limit():
        return value.to(dtype)
    kind = np.float64 if dtype == torch.float64 else np.float32
    out = torch.from_numpy(paged_zeros(tuple(value.shape), kind))
    for start in range(0, len(value), ROWS):
        out[start : start + ROWS] = value[start : start + ROWS]
    return out
