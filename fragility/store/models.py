"""Trained parameters: one safetensors file a task."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from fragility.errors import StoreDamagedError
from fragility.store.files import write_atomic


def model_path(root: Path, task_id: str) -> Path:
    """Returns where the parameters that a task trained are kept."""
    return root / "models" / f"{task_id}.safetensors"


def write_model(root: Path, task_id: str, parameters: Mapping[str, NDArray[Any]]) -> None:
    """Writes parameters so that the file is whole or not there."""
    # safetensors writes the memory of a strided array as if it were contiguous.
    tensors = {name: np.asarray(value, order="C") for name, value in parameters.items()}
    write_atomic(model_path(root, task_id), save(tensors))


def read_model(root: Path, task_id: str, record: str) -> dict[str, NDArray[Any]]:
    """Returns parameters; `record` is the log file that says that they were trained.

    Raises:
        StoreDamagedError: they are not there or cannot be read.
    """
    path = model_path(root, task_id)
    try:
        return dict(load_file(path))
    except (SafetensorError, OSError) as error:
        reason = "is missing" if isinstance(error, FileNotFoundError) else f"is damaged: {error}"
        raise StoreDamagedError(
            f"`{path}` {reason}.",
            f"Delete `{root / 'log' / record}` and run the study again: the model is trained anew.",
        ) from error
