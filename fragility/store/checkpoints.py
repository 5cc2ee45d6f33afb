"""Running states of long stacks: one safetensors file each, dropped when the stack is done."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from fragility.store.files import write_atomic


def write_checkpoint(root: Path, key: str, state: Mapping[str, NDArray[Any]]) -> None:
    """Writes a state in place of the one before.

    Raises:
        StoreError: the file cannot be written.
    """
    arrays = {name: np.asarray(value, order="C") for name, value in state.items()}
    write_atomic(_path(root, key), save(arrays))


def read_checkpoint(root: Path, key: str) -> dict[str, NDArray[Any]] | None:
    """Returns a state, or None where there is none that can be read: the stack then starts over."""
    try:
        return dict(load_file(_path(root, key)))
    except (SafetensorError, OSError):
        return None


def drop_checkpoint(root: Path, key: str) -> None:
    """Forgets a state."""
    _path(root, key).unlink(missing_ok=True)


def _path(root: Path, key: str) -> Path:
    return root / "checkpoints" / f"{key}.safetensors"
