"""Where a run takes place: device and versions."""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cache
from importlib import metadata

import torch

from fragility.errors import UsageError
from fragility.numerics.card import card_bytes
from fragility.numerics.compilation import COMPILED
from fragility.plan.fusion import STACK_BYTES

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


def stack_bytes(device: torch.device) -> int:
    """Returns the most memory of one stack of models unless `--memory` says otherwise.

    That is 1 GiB, and of a card a quarter.
    """
    return card_bytes(device) // 4 if device.type == "cuda" else STACK_BYTES


def versions(others: Iterable[str] = ()) -> dict[str, str]:
    """Returns the versions that a run's numbers depend on, some other packages included."""
    names = dict.fromkeys((*_PACKAGES, *others))
    return {"python": platform.python_version()} | {name: _version(name) for name in names}


@cache
def _version(name: str) -> str:
    return metadata.version(name)


def compilation(stacks: Sequence[str]) -> str | None:
    """Returns in one line how the gradients of a run's stacks were computed; see `Fit`."""
    if not stacks:
        return None
    others = [how for how in stacks if how != COMPILED]
    reasons = [how for how, _ in Counter(others).most_common()]
    if len(others) == len(stacks):
        return "; ".join(reasons)
    used = f"{COMPILED}: used for {len(stacks) - len(others)} of {len(stacks)} stacks"
    return "; ".join([used, *reasons])
