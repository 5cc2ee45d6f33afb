"""What the work on a batch comes to: results, rows of tables, arrays and models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fragility.numerics.quadrature import Eigenvalues
from fragility.plan.tasks import Batch
from fragility.store import BatchRecord, TaskResult

_COLUMN = (list, tuple, np.ndarray)


@dataclass
class Outcome:
    """Gathers a batch's results as the work goes on; tasks are named by their position in it."""

    batch: Batch
    messages: dict[int, str] = field(default_factory=dict)
    rows: dict[str, dict[str, list[Any]]] = field(default_factory=dict)
    arrays: dict[str, NDArray[np.generic]] = field(default_factory=dict)
    models: dict[str, Mapping[str, NDArray[np.generic]]] = field(default_factory=dict)
    gradients: str | None = None
    """How the gradients of the batch's stack were computed; see `Fit`."""

    def fail(self, position: int, message: str) -> None:
        """Marks a task as failed, with the reason."""
        self.messages[position] = message

    def fail_all(self, message: str) -> None:
        """Marks every task as failed and drops what was gathered."""
        self.rows, self.arrays, self.models = {}, {}, {}
        self.messages = dict.fromkeys(range(len(self.batch.tasks)), message)

    def add(self, table: str, position: int | NDArray[np.int64], **columns: object) -> None:
        """Adds one row, or as many as the columns that are sequences have entries."""
        length = max((len(c) for c in columns.values() if isinstance(c, _COLUMN)), default=1)
        target = self.rows.setdefault(table, {})
        for name, value in {"task": position, **columns}.items():
            values = value if isinstance(value, _COLUMN) else [value] * length
            target.setdefault(name, []).extend(values)

    def add_spectrum(self, position: int, spectrum: Eigenvalues) -> None:
        """Adds the eigenvalues of a task's model."""
        self.add(
            "spectrum_facts",
            position,
            matrix=spectrum.matrix,
            place=np.arange(len(spectrum.values)),
            eigenvalue=spectrum.values,
            weight=spectrum.weights,
        )

    def record(self, seconds: float) -> BatchRecord:
        """Returns the record for the store; the batch's time is shared equally."""
        share = seconds / len(self.batch.tasks)
        tables = {name: _columns(columns) for name, columns in self.rows.items()}
        if trainings := tables.get("training_facts"):
            trainings["seconds"] = np.full(len(trainings["task"]), share)
        return BatchRecord(
            batch_id=self.batch.batch_id,
            finished=datetime.now(UTC).isoformat(),
            tasks=tuple(
                TaskResult(
                    task_id=task.task_id,
                    kind=task.kind,
                    status="failed" if position in self.messages else "ok",
                    message=self.messages.get(position),
                    seconds=share,
                )
                for position, task in enumerate(self.batch.tasks)
            ),
            tables=tables,
            arrays=self.arrays,
        )


def _columns(columns: Mapping[str, Sequence[Any]]) -> dict[str, NDArray[Any]]:
    return {name: _column(values) for name, values in columns.items()}


def _column(values: Sequence[Any]) -> NDArray[Any]:
    known = [value for value in values if value is not None]
    if known and len(known) < len(values) and isinstance(known[0], (int, float)):
        # A missing number is a NaN, which the store keeps as null.
        return np.array([np.nan if v is None else float(v) for v in values])
    if not known or isinstance(known[0], str) or (isinstance(known[0], bool) and None in values):
        return np.array(list(values), dtype=object)
    return np.asarray(values)
