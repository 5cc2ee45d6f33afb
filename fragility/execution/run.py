"""Walks a plan: executes what the store does not hold yet, and records how it went."""

from __future__ import annotations

import resource
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import Literal
from uuid import uuid4

import torch

from fragility.execution.calibrate import predict_seconds
from fragility.execution.code import imported, with_code
from fragility.execution.environment import compilation, pick_device, stack_bytes, versions
from fragility.execution.events import (
    BatchFinished,
    BatchProgress,
    BatchStarted,
    Failure,
    Listener,
    PlanReady,
    RunFinished,
    RunSummary,
)
from fragility.execution.executors import Executor
from fragility.execution.executors.local import Local
from fragility.execution.outcome import Outcome
from fragility.execution.packages import check_packages, needed_packages
from fragility.execution.work import work
from fragility.execution.workbench import Workbench
from fragility.plan.catalog import Catalog
from fragility.plan.compile import compile_study
from fragility.plan.record import plan_record
from fragility.plan.selection import select
from fragility.plan.tasks import KINDS, Batch, Plan
from fragility.store import RunEnd, RunStart, Store, TaskResult
from fragility.study.load import LoadedStudy

_PROGRESS_SECONDS = 0.2


@dataclass(frozen=True)
class RunOptions:
    """How to execute; what is computed follows from the study alone.

    `memory` is the most bytes of one stack of models; None: as the device has them.
    """

    device: str = "auto"
    select: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    only_failed: bool = False
    fail_fast: bool = False
    executor: str = "local"
    memory: int | None = None
    allow_code: bool = False
    command: str = ""


def run_study(
    loaded: LoadedStudy,
    store_root: Path,
    options: RunOptions,
    on_event: Listener,
    before: Callable[[], None] | None = None,
) -> RunSummary:
    """Executes a study and returns what was done; a second run of a finished study does nothing.

    `before` is called once the study and its data are known to be in order, and before the store
    is written to; its time is not the run's.

    Raises:
        FragilityError: the study, its data, the options or the store are not in order.
    """
    started = perf_counter()
    device = pick_device(options.device)
    loaded, code = imported(loaded, allowed=options.allow_code)
    catalog = Catalog(loaded.path.parent)
    memory = options.memory or stack_bytes(device)
    plan = with_code(compile_study(loaded, catalog, memory), code)
    if before is not None:
        called = perf_counter()
        before()
        started += perf_counter() - called
    with Store.open(store_root, write=True) as store:
        wanted = wanted_tasks(plan, options, store.finished())
        bench = Workbench(plan, catalog, store, device)
        driver = _Driver(plan, wanted, bench, Local(), options, on_event)
        check_packages(plan, wanted - driver.done)
        return driver.run(loaded, started)


def wanted_tasks(
    plan: Plan, options: RunOptions, finished: dict[str, TaskResult]
) -> frozenset[str]:
    """Returns the ids of the tasks that the options select, done or not.

    Raises:
        UsageError: nothing is selected.
    """
    wanted = select(plan, options.select, options.exclude)
    if not options.only_failed:
        return wanted
    failed = {i for i, result in finished.items() if result.status == "failed"}
    waits_for_failed = set(failed)
    for batch in plan.batches:
        for task in batch.tasks:
            if not waits_for_failed.isdisjoint(task.inputs):
                waits_for_failed.add(task.task_id)
    return wanted & waits_for_failed


class _Driver:
    """One run: the only caller of the store's writes."""

    def __init__(
        self,
        plan: Plan,
        wanted: frozenset[str],
        bench: Workbench,
        executor: Executor,
        options: RunOptions,
        on_event: Listener,
    ) -> None:
        self.plan, self.wanted, self.bench = plan, wanted, bench
        self.executor, self.options, self.on_event = executor, options, on_event
        self.store = bench.store
        finished = self.store.finished()
        self.done = {i for i in plan.tasks if i in finished and finished[i].status == "ok"}
        self.cached = len(self.done & wanted)
        self.ok = 0
        self.predicted = predict_seconds(bench, plan.left(wanted - self.done))
        self.failures: list[Failure] = []
        self.skips: dict[str, str] = {}
        self.gradients: list[str] = []
        now = datetime.now(UTC)
        self.run_id = f"{now:%Y%m%d-%H%M%S}-{uuid4().hex[:6]}"

    def run(self, loaded: LoadedStudy, started: float) -> RunSummary:
        self._start(loaded)
        interrupted = False
        try:
            for outcome, seconds in self.executor.run(self._batches(), self._work):
                self._commit(outcome, seconds)
                if self.failures and self.options.fail_fast:
                    break
        except KeyboardInterrupt:
            interrupted = True
        summary = RunSummary(
            run_id=self.run_id,
            study=self.plan.study,
            ok=self.ok,
            cached=self.cached,
            failed=len(self.failures),
            skipped=len(self.skips),
            seconds=perf_counter() - started,
            predicted_seconds=self.predicted,
            peak_memory=_peak_memory(),
            failures=tuple(self.failures),
            interrupted=interrupted,
        )
        self._end(summary)
        self.on_event(RunFinished(summary))
        return summary

    def _batches(self) -> Iterator[Batch]:
        """Yields what is left of each batch, once everything before it is committed."""
        for batch in self.plan.batches:
            left = []
            for task in batch.tasks:
                if task.task_id in self.done or task.task_id not in self.wanted:
                    continue
                missing = [i for i in task.inputs if i not in self.done]
                if missing:
                    self.skips[task.task_id] = self._reason(missing[0])
                else:
                    left.append(task)
            if left:
                yield replace(batch, tasks=tuple(left))
            elif batch.task_ids <= self.done:
                # A kill right after the commit leaves the batch's running state behind.
                self.bench.checkpoint(batch).drop()

    def _reason(self, missing: str) -> str:
        task = self.plan.tasks[missing]
        if missing in self.skips:
            return self.skips[missing]
        where = self.plan.cells[task.cell].cell.arm
        state = "was not selected" if missing not in self.wanted else "failed"
        return f"its input {task.kind} {missing[:8]} ({where}) {state}"

    def _work(self, batch: Batch) -> tuple[Outcome, float]:
        self.on_event(BatchStarted(batch.batch_id, batch.kind, len(batch.tasks)))
        last = perf_counter()

        def progress(fraction: float) -> None:
            nonlocal last
            if perf_counter() - last > _PROGRESS_SECONDS:
                last = perf_counter()
                self.on_event(BatchProgress(batch.batch_id, batch.kind, fraction))

        return work(batch, self.bench, progress)

    def _commit(self, outcome: Outcome, seconds: float) -> None:
        batch = outcome.batch
        if outcome.gradients is not None:
            self.gradients.append(outcome.gradients)
        for task_id, parameters in outcome.models.items():
            self.store.write_model(task_id, parameters)
        self.store.commit(outcome.record(seconds))
        self.bench.checkpoint(batch).drop()
        failed = 0
        for position, task in enumerate(batch.tasks):
            if position in outcome.messages:
                failed += 1
                where = self.plan.cells[task.cell].cell.arm
                message = outcome.messages[position]
                self.failures.append(Failure(task.task_id, task.kind, where, message))
            else:
                self.done.add(task.task_id)
        ok = len(batch.tasks) - failed
        self.ok += ok
        self.on_event(BatchFinished(batch.batch_id, batch.kind, ok, failed, 0, seconds))

    def _start(self, loaded: LoadedStudy) -> None:
        plan = self.plan
        self.store.start_run(
            RunStart(
                run_id=self.run_id,
                study=plan.study,
                plan_id=plan.plan_id,
                started=datetime.now(UTC).isoformat(),
                title=loaded.study.title,
                command=self.options.command,
                overrides=loaded.overrides,
                study_text=loaded.text,
                study_path=loaded.label,
                predicted_seconds=self.predicted,
                device=str(self.bench.device),
                threads=torch.get_num_threads(),
                versions=versions(needed_packages(plan, self.wanted - self.done).values()),
                seed=plan.seed,
            ),
            plan_record(plan),
        )
        tasks = {
            kind: [i for b in plan.batches if b.kind == kind for i in b.task_ids & self.wanted]
            for kind in KINDS
        }
        self.on_event(
            PlanReady(
                study=plan.study,
                run_id=self.run_id,
                totals={kind: len(ids) for kind, ids in tasks.items()},
                cached={kind: len(self.done.intersection(ids)) for kind, ids in tasks.items()},
                predicted_seconds=self.predicted,
            )
        )

    def _end(self, summary: RunSummary) -> None:
        failed = summary.failed or summary.skipped
        status: Literal["interrupted", "failed", "done"] = "failed" if failed else "done"
        if summary.interrupted:
            status = "interrupted"
        self.store.end_run(
            RunEnd(
                run_id=self.run_id,
                status=status,
                finished=datetime.now(UTC).isoformat(),
                seconds=summary.seconds,
                ok=summary.ok,
                cached=summary.cached,
                failed=summary.failed,
                skipped=summary.skipped,
                peak_memory=summary.peak_memory,
                compilation=compilation(self.gradients),
                skips=self.skips,
            )
        )


def _peak_memory() -> int:
    """Returns the largest resident size of this process so far, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
