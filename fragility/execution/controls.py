"""The controls: shipped studies whose outcome is known, run before another study."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fragility.execution.events import RunSummary
from fragility.execution.run import RunOptions, run_study
from fragility.plan.catalog import Catalog
from fragility.plan.compile import compile_study
from fragility.store import Store
from fragility.store.runs import CONTROLS, has_plan
from fragility.study.load import LoadedStudy, load_text
from fragility.study.shipped import shipped_studies


@dataclass(frozen=True)
class Waiting:
    """A part of the controls that a store does not hold yet, and how many tasks it lacks."""

    loaded: LoadedStudy
    tasks: int


def waiting(store_root: Path) -> list[Waiting]:
    """Returns what is left of the controls.

    Raises:
        FragilityError: the store is not in order.
    """
    with Store.open(store_root, write=False) as store:
        done = {i for i, result in store.finished().items() if result.status == "ok"}
    return list(_waiting(store_root, done))


def _waiting(store_root: Path, done: set[str]) -> Iterator[Waiting]:
    for name in CONTROLS:
        # By its path: a file of the user's may be called the same.
        path = shipped_studies()[name]
        loaded = load_text(path.read_text(encoding="utf-8"), path, label=name)
        plan = compile_study(loaded, Catalog(loaded.directory))
        left = len(plan.tasks.keys() - done)
        if left or not has_plan(store_root, plan.plan_id):
            yield Waiting(loaded, left)


def run_controls(store_root: Path, options: RunOptions) -> list[RunSummary]:
    """Runs what is left of the controls, on the device of `options`, up to an interruption.

    Raises:
        FragilityError: the store is not in order.
    """
    summaries: list[RunSummary] = []
    own = RunOptions(device=options.device, command=options.command)
    for part in waiting(store_root):
        summaries.append(run_study(part.loaded, store_root, own, lambda event: None))
        if summaries[-1].interrupted:
            break
    return summaries
