"""Predicts how long a plan takes, from a few steps of each of its stacks on this machine."""

from __future__ import annotations

from collections.abc import Iterable
from time import perf_counter

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from fragility.execution.stacks import stack_problem
from fragility.execution.workbench import Workbench
from fragility.identity import digest
from fragility.method import JSON
from fragility.metrics.agreement import measure
from fragility.plan.cost import budget
from fragility.plan.tasks import Batch, PlannedCell, Task
from fragility.training import Recorder, Start, Training

_TIMED_STEPS = 5
_PROBE_STEPS = 200
_EVALUATION_SECONDS = 5e-4


def predict_seconds(bench: Workbench, batches: Iterable[Batch]) -> float:
    """Returns the seconds that training stacks and measuring agreement will take, approximately.

    Every shape of stack is run for a few steps from initial values. A training that stops at a
    gradient norm is tried on one model; if that does not stop soon, the limit of steps is assumed.
    """
    timed: dict[str, float] = {}
    total = 0.0
    for batch in batches:
        key = _shape(bench, batch)
        if key not in timed:
            timed[key] = _seconds(bench, batch)
        total += timed[key]
    return total


def _shape(bench: Workbench, batch: Batch) -> str:
    task = batch.tasks[0]
    planned = bench.cell(task)
    model, training = planned.cell.model.identity(), planned.cell.training.identity()
    limits = sorted({budget(bench.plan, t) for t in batch.tasks})
    shape: list[JSON] = [batch.kind, planned.data_id, model, training, list(limits)]
    return digest([*shape, len(batch.tasks), task.procedure, task.estimator is None])


def _seconds(bench: Workbench, batch: Batch) -> float:
    if batch.kind in ("train", "retrain"):
        return _training_seconds(bench, batch)
    if batch.kind == "measure" and batch.tasks[0].estimator is not None:
        return _agreement_seconds(bench, batch.tasks[0]) * len(batch.tasks)
    return 0.0


def _training_seconds(bench: Workbench, batch: Batch) -> float:
    cells = [bench.cell(task) for task in batch.tasks]
    trainings = [_training(bench, task) for task in batch.tasks]
    # The first pass also pays for whatever torch loads when it is first asked, and every pass for
    # building the stack: what counts is the difference that steps make.
    # An epoch has steps enough, and several would be a good part of the work.
    few, timed = (0, 1) if trainings[0].counts == "epochs" else (1, _TIMED_STEPS)
    orders = [task.order_seed or 0 for task in batch.tasks]
    _fit(bench, cells, [t.limited(few, None) for t in trainings], orders)
    ready = perf_counter()
    _fit(bench, cells, [t.limited(few, None) for t in trainings], orders)
    short = perf_counter()
    _fit(bench, cells, [t.limited(few + timed, None) for t in trainings], orders)
    a_step = max(0.0, (perf_counter() - short) - (short - ready)) / timed
    longest = max(trainings, key=lambda training: training.budget)
    return a_step * _expected_steps(bench, cells[0], longest) + _EVALUATION_SECONDS * len(cells)


def _training(bench: Workbench, task: Task) -> Training:
    cell = bench.cell(task).cell
    if task.procedure is None:
        return cell.training
    return cell.procedures[task.procedure].retraining(cell.training)


def _expected_steps(bench: Workbench, planned: PlannedCell, training: Training) -> int:
    few = training.counts == "epochs" or training.budget <= _PROBE_STEPS
    if training.gradient_norm is None or few:
        return training.budget
    converged, taken = _fit(bench, [planned], [training.limited(_PROBE_STEPS, None)], [0])
    return taken if converged else training.budget


def _fit(
    bench: Workbench, cells: list[PlannedCell], trainings: list[Training], orders: list[int]
) -> tuple[bool, int]:
    """Trains a stack from one initial value; returns whether and when its first model stopped."""
    layout = bench.network(cells[0]).layout
    n = cells[0].facts.n_train
    problem = stack_problem(
        bench,
        cells,
        layout,
        [{} for _ in cells],
        [np.full(n, 1 / n) for _ in cells],
        trainings[0].torch_dtype,
    )
    initial = layout.flatten(bench.initial(cells[0], 0)).to(trainings[0].torch_dtype)
    start = initial.expand(len(cells), -1)
    fit = trainings[0].fit(trainings, problem, Start(start, orders=orders), Recorder())
    return bool(fit.converged[0]), int(fit.steps[0])


def _agreement_seconds(bench: Workbench, task: Task) -> float:
    planned = bench.cell(task)
    procedure = planned.cell.procedures[str(task.procedure)]
    points = len(procedure.slots(planned.facts.n_train))
    tests = len(procedure.test_points.slots(planned.facts.n_test))
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(2, 1, points, generator=generator, dtype=torch.float64).numpy()
    started = perf_counter()
    with threadpool_limits(1):
        measure(values[0], values[1:], planned.cell.metrics, seed=0)
    return (perf_counter() - started) * tests
