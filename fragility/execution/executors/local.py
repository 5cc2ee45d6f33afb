"""Works on batches in this process, one after the other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from fragility.execution.executors import OutOfMemoryError, Work
from fragility.execution.outcome import Outcome
from fragility.plan.tasks import Batch


class Local:
    """One process: a batch is a stack of models already, and torch's threads share its work."""

    def run(self, batches: Iterable[Batch], work: Work) -> Iterator[tuple[Outcome, float]]:
        """Yields the outcome of each batch, in the given order; one too large comes in halves."""
        for batch in batches:
            try:
                outcome = work(batch)
            except OutOfMemoryError:
                yield from self.run(_halves(batch), work)
            else:
                yield outcome


def _halves(batch: Batch) -> tuple[Batch, Batch]:
    middle = len(batch.tasks) // 2
    first, second = batch.tasks[:middle], batch.tasks[middle:]
    return replace(batch, tasks=first), replace(batch, tasks=second)
