"""Runs and plans in the log: one JSON file for a run's start, its end, and each plan."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np

from fragility.store.files import write_atomic
from fragility.store.log import damaged, utc

START = ".start.json"
END = ".end.json"

CONTROLS = ("controls/convex", "controls/network")
"""The shipped studies whose outcome is known, as `study_path` names them."""

PlanColumns = Mapping[str, Sequence[Any]]


@dataclass(frozen=True)
class RunStart:
    """What is known when a run starts; columns of the same names are documented with `runs`."""

    run_id: str
    study: str
    plan_id: str
    started: str
    title: str | None = None
    command: str | None = None
    overrides: Sequence[str] = ()
    study_text: str | None = None
    study_path: str | None = None
    predicted_seconds: float | None = None
    device: str | None = None
    threads: int | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    seed: int | None = None


@dataclass(frozen=True)
class RunEnd:
    """How a run ended; `skips` maps the tasks it skipped to the reason.

    What is not known, as after a crash, is None.
    """

    run_id: str
    status: Literal["done", "failed", "interrupted"]
    finished: str | None = None
    seconds: float | None = None
    ok: int | None = None
    cached: int | None = None
    failed: int | None = None
    skipped: int | None = None
    peak_memory: int | None = None
    compilation: str | None = None
    skips: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class PlanRecord:
    """A plan as the columns of `plan_cells`, `plan_arms` and `plan_tasks`, without `plan_id`.

    `resolved` is the study as its methods read it, by dotted path; it stays in the log, where the
    next plan of the study is compared with it.
    """

    plan_id: str
    cells: PlanColumns
    arms: PlanColumns
    tasks: PlanColumns
    resolved: Mapping[str, Any] = field(default_factory=dict)


T = TypeVar("T", RunStart, RunEnd, PlanRecord)


def write_start(root: Path, run: RunStart) -> None:
    """Writes a run's start to the log."""
    utc(run.started)
    _write(root / "log" / "runs" / f"{run.run_id}{START}", run)


def write_end(root: Path, run: RunEnd) -> None:
    """Writes a run's end to the log."""
    if run.finished is not None:
        utc(run.finished)
    _write(root / "log" / "runs" / f"{run.run_id}{END}", run)


def write_plan(root: Path, plan: PlanRecord) -> None:
    """Writes a plan to the log, unless it is there: a plan's id says all that is in it."""
    path = root / "log" / "plans" / f"{plan.plan_id}.json"
    if not path.exists():
        _write(path, plan)


def has_plan(root: Path, plan_id: str) -> bool:
    """Returns whether a run of the plan was started."""
    return (root / "log" / "plans" / f"{plan_id}.json").exists()


def unended(root: Path) -> Iterator[str]:
    """Yields the ids of runs that started and have no end in the log."""
    folder = root / "log" / "runs"
    for path in sorted(folder.glob(f"[!.]*{START}")):
        run_id = path.name.removesuffix(START)
        if not (folder / f"{run_id}{END}").exists():
            yield run_id


def last_resolved(root: Path, study: str) -> Mapping[str, Any] | None:
    """Returns the resolved study of the newest run of `study`, or None when it has not run yet.

    Raises:
        StoreDamagedError: a run's start or its plan cannot be read.
    """
    paths = (root / "log" / "runs").glob(f"[!.]*{START}")
    starts = [start for start in (read_json(p, RunStart) for p in paths) if start.study == study]
    if not starts:
        return None
    newest = max(starts, key=lambda start: start.started)
    return read_json(root / "log" / "plans" / f"{newest.plan_id}.json", PlanRecord).resolved


def read_json(path: Path, form: type[T]) -> T:
    """Returns the run's start, the run's end or the plan in `path`.

    Raises:
        StoreDamagedError: the file does not hold one.
    """
    try:
        return form(**json.loads(path.read_bytes()))
    except (ValueError, TypeError, OSError) as error:
        raise damaged(path, error) from error


def _write(path: Path, value: RunStart | RunEnd | PlanRecord) -> None:
    write_atomic(path, json.dumps(vars(value), default=_plain).encode())


def _plain(value: object) -> object:
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} has no place in the log")
