"""What a run would do: its plan, what is done already, and how long the rest may take."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import torch

from fragility.execution.calibrate import predict_seconds
from fragility.execution.environment import pick_device, stack_bytes
from fragility.execution.run import RunOptions, wanted_tasks
from fragility.execution.workbench import Workbench
from fragility.plan.catalog import Catalog
from fragility.plan.compile import compile_study
from fragility.plan.summary import PlanSummary, summarize
from fragility.plan.tasks import Plan
from fragility.store import Store
from fragility.store.runs import last_resolved
from fragility.study.load import LoadedStudy


@dataclass(frozen=True)
class Preview:
    """A plan and its summary; `predicted_seconds` is for the tasks that are not done.

    It is None where the study has code of its own, which a plan does not run.
    """

    plan: Plan
    summary: PlanSummary
    predicted_seconds: float | None
    device: str
    threads: int


def preview(loaded: LoadedStudy, store_root: Path, options: RunOptions) -> Preview:
    """Returns what a run of a study would do; a few steps are timed, nothing is stored.

    The plan is cut down to the tasks that the options select.

    Raises:
        FragilityError: the study, its data or the store are not in order.
    """
    catalog = Catalog(loaded.path.parent)
    device = pick_device(options.device)
    plan = compile_study(loaded, catalog, options.memory or stack_bytes(device))
    with Store.open(store_root, write=False) as store:
        finished = store.finished()
        done = frozenset(i for i, result in finished.items() if result.status == "ok")
        wanted = wanted_tasks(plan, options, finished)
        asked = replace(
            plan,
            placements=tuple(task for task in plan.placements if task.task_id in wanted),
            batches=plan.left(wanted),
        )
        known = all(c.cell.dataset.known and c.cell.model.known for c in plan.cells)
        bench = Workbench(plan, catalog, store, device)
        return Preview(
            plan=asked,
            summary=summarize(asked, done, last_resolved(store_root, plan.study)),
            predicted_seconds=predict_seconds(bench, asked.left(wanted - done)) if known else None,
            device=str(bench.device),
            threads=torch.get_num_threads(),
        )
