"""The executors: where batches are worked on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

import torch

from fragility.execution.outcome import Outcome
from fragility.plan.tasks import Batch

Work = Callable[[Batch], tuple[Outcome, float]]
"""Works on one batch; returns what came of it and the seconds it took.

Raises OutOfMemoryError when a batch of several tasks does not fit.
"""


class OutOfMemoryError(Exception):
    """A batch of several tasks does not fit in memory; its parts may."""


def is_out_of_memory(error: Exception) -> bool:
    """Returns whether an error says that memory was not enough."""
    # On the CPU torch has no class of its own for it.
    known = isinstance(error, (MemoryError, torch.OutOfMemoryError))
    return known or "can't allocate memory" in str(error)


class Executor(Protocol):
    """Works on batches, which it may take in any order that keeps inputs before what needs them.

    Batches come one at a time, when those before them are committed; an executor yields outcomes
    to the driver, which alone writes to the store.
    """

    def run(self, batches: Iterable[Batch], work: Work) -> Iterator[tuple[Outcome, float]]:
        """Yields the outcome of each batch."""
