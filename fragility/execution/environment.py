"""Where a run takes place: device and versions."""

from __future__ import annotations

import platform
from importlib.metadata import version

import torch

from fragility.errors import UsageError

_PACKAGES = ("fragility", "torch", "numpy", "scipy", "scikit-learn", "duckdb")


def pick_device(name: str) -> torch.device:
    """Returns the device of that name; `auto` is CUDA where there is one.

    Raises:
        UsageError: CUDA is asked for and there is none.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise UsageError("`--device cuda`: torch finds no CUDA device.", "Use `--device cpu`.")
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def versions() -> dict[str, str]:
    """Returns the versions that a run's numbers depend on."""
    return {"python": platform.python_version()} | {name: version(name) for name in _PACKAGES}
