"""Keeps the running state of a stack in the store, so that an interrupted run goes on inside it."""

from __future__ import annotations

from pathlib import Path
from time import monotonic

import torch

from fragility.identity import digest
from fragility.plan.tasks import Batch
from fragility.store.checkpoints import drop_checkpoint, read_checkpoint, write_checkpoint
from fragility.training import State

INTERVAL_SECONDS = 30.0
"""How much of a stack's work an interruption may lose."""

LAYOUT = 2
"""Raised when trainings keep other parts than before: what another version left is not taken up."""


class StackCheckpoint:
    """The state of one batch's stack; the batch's tasks and the layout are its name."""

    def __init__(self, root: Path, batch: Batch, device: torch.device) -> None:
        self._root, self._device = root, device
        self._key = digest([LAYOUT, *(task.task_id for task in batch.tasks)])
        self._saved = monotonic()

    def due(self) -> bool:
        """Whether the interval has passed since the last save."""
        return monotonic() - self._saved >= INTERVAL_SECONDS

    def save(self, state: State) -> None:
        """Keeps a state."""
        arrays = {name: value.cpu().numpy() for name, value in state.items()}
        write_checkpoint(self._root, self._key, arrays)
        self._saved = monotonic()

    def load(self) -> State | None:
        """Returns what an interrupted run left."""
        arrays = read_checkpoint(self._root, self._key)
        if arrays is None:
            return None
        # Copies, because matrix products round differently by address (see `evaluate`).
        return {
            name: torch.from_numpy(value).clone().to(self._device) for name, value in arrays.items()
        }

    def drop(self) -> None:
        """Forgets the state: the batch is in the log."""
        drop_checkpoint(self._root, self._key)
