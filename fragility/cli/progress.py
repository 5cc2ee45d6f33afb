"""What stderr shows while a run goes on: a live line per task kind, or plain lines in a pipe."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from fragility.cli import text
from fragility.execution.events import (
    BatchFinished,
    BatchProgress,
    BatchStarted,
    Event,
    Listener,
    PlanReady,
    RunFinished,
)

if TYPE_CHECKING:
    from rich.progress import Progress, Task

QUIET_SECONDS = 15.0


@contextmanager
def listener(*, quiet: bool) -> Iterator[Listener]:
    """Yields what shows the events of one run, and leaves the terminal tidy however it ends."""
    if quiet:
        yield lambda event: None
    elif sys.stderr.isatty():
        with _live() as progress:
            yield Live(progress)
    else:
        yield Plain(lambda line: print(line, file=sys.stderr, flush=True))


class Tally:
    """Tasks done by kind, fractions of running batches included."""

    def __init__(self, plan: PlanReady) -> None:
        self.totals = dict(plan.totals)
        self.done = {kind: plan.cached.get(kind, 0) for kind in plan.totals}
        self.running: dict[str, tuple[str, float]] = {}
        self._sizes: dict[str, int] = {}

    def follow(self, event: Event) -> str | None:
        """Takes an event into account; returns the kind whose numbers changed."""
        if isinstance(event, BatchStarted):
            self._sizes[event.batch_id] = event.tasks
            self.running[event.batch_id] = (event.kind, 0.0)
        elif isinstance(event, BatchProgress):
            size = self._sizes.get(event.batch_id, 0)
            self.running[event.batch_id] = (event.kind, event.fraction * size)
        elif isinstance(event, BatchFinished):
            self.running.pop(event.batch_id, None)
            self.done[event.kind] += event.ok + event.failed + event.skipped
        else:
            return None
        return event.kind

    def reached(self, kind: str) -> float:
        """Returns how many tasks of a kind are done, a running batch counted by its fraction."""
        return self.done[kind] + sum(part for of, part in self.running.values() if of == kind)


class Plain:
    """A line when a kind of task is done, and one now and then while it takes long."""

    def __init__(
        self, write: Callable[[str], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.write = write
        self.clock = clock
        self.tally: Tally | None = None
        self.last = clock()
        self.begun: dict[str, float] = {}

    def __call__(self, event: Event) -> None:
        """Writes a line if the event is worth one."""
        if isinstance(event, PlanReady):
            self.tally = Tally(event)
            self.last = self.clock()
            self.write(headline(event))
            return
        kind = self.tally.follow(event) if self.tally else None
        if kind is None or self.tally is None:
            return
        now = self.clock()
        begun = self.begun.setdefault(kind, now)
        reached, total = int(self.tally.reached(kind)), self.tally.totals[kind]
        finished = self.tally.done[kind] >= total
        if finished or (reached < total and now - self.last >= QUIET_SECONDS):
            self.last = now
            share = f"{reached:,}/{total:,}"
            self.write(f"  {kind:<9} {share:>15}  {text.duration(now - begun)}")


class Live:
    """A bar per task kind, with rate and time left, redrawn in place."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self.tally: Tally | None = None
        self.bars: dict[str, int] = {}

    def __call__(self, event: Event) -> None:
        """Moves the bar of the event's kind."""
        if isinstance(event, PlanReady):
            self.tally = Tally(event)
            self.progress.console.print(headline(event), markup=False, highlight=False)
            self.bars = {
                kind: self.progress.add_task(
                    kind, total=total, completed=event.cached.get(kind, 0), start=False
                )
                for kind, total in event.totals.items()
            }
            return
        kind = self.tally.follow(event) if self.tally else None
        if kind is None or self.tally is None:
            if isinstance(event, RunFinished):
                self.progress.refresh()
            return
        bar = self.progress.tasks[self.bars[kind]]
        if not bar.started:
            self.progress.start_task(bar.id)
        self.progress.update(bar.id, completed=self.tally.reached(kind))
        if self.tally.done[kind] >= self.tally.totals[kind]:
            self.progress.stop_task(bar.id)


def headline(plan: PlanReady) -> str:
    """Returns the first line of a run: its name, how much there is to do, how long it may take."""
    total, cached = sum(plan.totals.values()), sum(plan.cached.values())
    if cached == total:
        return f"{plan.study}: all {text.plural(total, 'task')} done before, nothing to compute"
    known = f", {cached:,} done before" if cached else ""
    guess = (
        "" if plan.predicted_seconds is None else f", about {text.duration(plan.predicted_seconds)}"
    )
    return f"{plan.study}: {text.plural(total, 'task')}{known}{guess}  (run {plan.run_id})"


def _live() -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn
    from rich.text import Text

    class Facts(ProgressColumn):
        def render(self, task: Task) -> Text:
            return Text(facts(task.completed, task.total or 0, task.elapsed, task.speed))

    return Progress(
        TextColumn("  {task.description:<9}"),
        BarColumn(bar_width=24),
        Facts(),
        console=Console(stderr=True),
    )


def facts(completed: float, total: float, elapsed: float | None, speed: float | None) -> str:
    """Returns the words behind a bar: count, then rate and time left, or the time it took."""
    words = f"{int(completed):,}/{int(total):,}"
    if elapsed is None:
        return f"{words}  done before" if completed >= total else words
    if completed >= total:
        return f"{words}  {text.duration(elapsed)}"
    if not speed:
        return words
    rate = f"{speed:,.0f}/s" if speed >= 10 else f"{speed:.2g}/s"
    return f"{words}  {rate}  {text.duration((total - completed) / speed)} left"
