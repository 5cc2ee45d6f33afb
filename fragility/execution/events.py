"""What a run tells whoever watches it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Failure:
    """One failed task, with the reason that is also in the store."""

    task_id: str
    kind: str
    cell: str
    message: str


@dataclass(frozen=True)
class RunSummary:
    """What a run did: task counts, seconds of wall time, and peak resident memory in bytes."""

    run_id: str
    study: str
    ok: int
    cached: int
    failed: int
    skipped: int
    seconds: float
    predicted_seconds: float | None
    peak_memory: int
    failures: tuple[Failure, ...]
    interrupted: bool


@dataclass(frozen=True)
class PlanReady:
    """The plan is compiled: tasks by kind, and how many of them the store already holds."""

    study: str
    run_id: str
    totals: Mapping[str, int]
    cached: Mapping[str, int]
    predicted_seconds: float | None


@dataclass(frozen=True)
class BatchStarted:
    """A batch of `tasks` tasks begins."""

    batch_id: str
    kind: str
    tasks: int


@dataclass(frozen=True)
class BatchProgress:
    """A batch is `fraction` (0 to 1) done."""

    batch_id: str
    kind: str
    fraction: float


@dataclass(frozen=True)
class BatchFinished:
    """A batch ended; its results are in the store."""

    batch_id: str
    kind: str
    ok: int
    failed: int
    skipped: int
    seconds: float


@dataclass(frozen=True)
class RunFinished:
    """The run ended."""

    summary: RunSummary


Event = PlanReady | BatchStarted | BatchProgress | BatchFinished | RunFinished
Listener = Callable[[Event], None]
