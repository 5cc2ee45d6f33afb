"""Measures effects from retrainings, and the agreement of scores with effects."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from fragility.execution.outcome import Outcome
from fragility.execution.workbench import Workbench
from fragility.metrics.agreement import measure as measure_agreement
from fragility.plan.compile import bootstrap_seed
from fragility.plan.tasks import Batch, PlannedCell, Task


@dataclass(frozen=True)
class Effects:
    """Losses `before` (T,), `after` (R, S, T) without each removed point, `placebo` (R, T)."""

    train_points: NDArray[np.int64]
    test_points: NDArray[np.int64]
    before: NDArray[np.float64]
    after: NDArray[np.float64]
    placebo: NDArray[np.float64]


def measure(batch: Batch, bench: Workbench, progress: Callable[[float], None]) -> Outcome:
    """Returns effects of a procedure, or agreements of an estimator with them."""
    outcome = Outcome(batch)
    for position, task in enumerate(batch.tasks):
        if task.estimator is None:
            _record_effects(outcome, bench, task, position)
        else:
            _record_agreement(outcome, bench, task, position)
        progress((position + 1) / len(batch.tasks))
    return outcome


def effects_of(bench: Workbench, task: Task) -> Effects:
    """Returns the effects that a measure task without estimator stands for."""
    planned = bench.cell(task)
    procedure = planned.cell.procedures[str(task.procedure)]
    test_points = bench.test_points(planned, procedure).points
    before = bench.base_losses(planned)["test_loss"][test_points]
    retrainings = [i for i in task.inputs if bench.plan.tasks[i].kind == "retrain"]
    per_replicate = len(retrainings) // procedure.replicates
    after = np.stack([bench.store.arrays(i, "test_loss")["test_loss"] for i in retrainings])
    after = after[:, test_points].reshape(procedure.replicates, per_replicate, -1)
    removed = [
        int(bench.store.arrays(i, "removed")["removed"]) for i in retrainings[1:per_replicate]
    ]
    # The first retraining of every replicate is the placebo.
    return Effects(np.array(removed), test_points, before, after[:, 1:], after[:, 0])


def _record_effects(outcome: Outcome, bench: Workbench, task: Task, position: int) -> None:
    planned = bench.cell(task)
    effects = effects_of(bench, task)
    points, tests = effects.train_points, effects.test_points
    for replicate in range(len(effects.after)):
        placebo = effects.placebo[replicate]
        outcome.add(
            "effect_facts",
            position,
            replicate=replicate,
            removal="placebo",
            test_point=tests,
            train_point=None,
            group_id=None,
            before=effects.before,
            after=placebo,
            effect=placebo - effects.before,
        )
        after = effects.after[replicate]
        outcome.add(
            "effect_facts",
            position,
            replicate=replicate,
            removal="point",
            test_point=np.tile(tests, len(points)),
            train_point=np.repeat(points, len(tests)),
            group_id=None,
            before=np.tile(effects.before, len(points)),
            after=after.ravel(),
            effect=(after - effects.before).ravel(),
        )
    _record_points(outcome, bench, task, planned, position)


def _record_points(
    outcome: Outcome, bench: Workbench, task: Task, planned: PlannedCell, position: int
) -> None:
    procedure = planned.cell.procedures[str(task.procedure)]
    data = bench.catalog.data(planned.cell.dataset, planned.cell.seed)
    splits = {
        "train": (bench.train_points(planned, procedure, task), procedure.train_points, data.train),
        "test": (bench.test_points(planned, procedure), procedure.test_points, data.test),
    }
    for split, (chosen, selector, examples) in splits.items():
        outcome.add(
            "point_facts",
            position,
            split=split,
            point=chosen.points,
            role=selector.kind,
            value=chosen.values,
            source_row=examples.rows[chosen.points],
        )


def _record_agreement(outcome: Outcome, bench: Workbench, task: Task, position: int) -> None:
    cell = bench.cell(task).cell
    effects = effects_of(bench, bench.plan.tasks[task.inputs[0]])
    scores = bench.store.arrays(task.inputs[1], "scores")["scores"][:, effects.train_points]
    changes = (effects.after - effects.before).transpose(0, 2, 1)
    # A diverged retraining has no effect; it is counted by n, which says how many points are left.
    finite = np.isfinite(changes).all(axis=(0, 1))
    # The products of a bootstrap are too small to share: one thread is three times faster than two.
    with threadpool_limits(1):
        agreements, summaries = measure_agreement(
            scores[:, finite], changes[:, :, finite], cell.metrics, seed=bootstrap_seed(cell.seed)
        )
    for agreement in agreements:
        row = asdict(agreement)
        if agreement.test_point is not None:
            row["test_point"] = int(effects.test_points[agreement.test_point])
        outcome.add("agreement_facts", position, **row)
    for summary in summaries:
        outcome.add("summary_facts", position, **asdict(summary))
