"""Works on batches in this process, one after the other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from fragility.execution.executors import Work
from fragility.execution.outcome import Outcome
from fragility.plan.tasks import Batch


class Local:
    """One process: a batch is a stack of models already, and torch's threads share its work."""

    def run(self, batches: Iterable[Batch], work: Work) -> Iterator[tuple[Outcome, float]]:
        """Yields the outcome of each batch, in the given order."""
        for batch in batches:
            yield work(batch)
