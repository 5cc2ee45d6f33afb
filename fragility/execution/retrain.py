"""Retrains the models of a batch, each without its removed point, as one stack."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fragility.execution.anchors import anchored
from fragility.execution.outcome import Outcome
from fragility.execution.respond import removed_words, respond
from fragility.execution.stacks import record_training, stack_problem
from fragility.execution.trajectory import LossTrajectory
from fragility.execution.workbench import Workbench
from fragility.numerics.evaluate import Halfway
from fragility.numerics.network import Layout, Network
from fragility.plan.identities import initial_seed
from fragility.plan.tasks import Batch, PlannedCell, Task
from fragility.procedures import Chosen, Procedure
from fragility.training import Recorder, Start


def retrain(batch: Batch, bench: Workbench, progress: Callable[[float], None]) -> Outcome:
    """Returns the removed point of every retraining, and every test example's loss after it."""
    procedures = [_procedure(bench, task) for task in batch.tasks]
    removed, left = _removed(batch, bench)
    if procedures[0].linear_response is not None:
        return respond(batch, bench, removed)
    outcome = Outcome(batch)
    cells = [bench.cell(task) for task in batch.tasks]
    network = bench.network(cells[0])
    layout = network.select(procedures[0].parameters)
    trainings = [p.retraining(c.cell.training) for p, c in zip(procedures, cells, strict=True)]
    dtype = trainings[0].torch_dtype
    by_train_id = {planned.train_id: bench.parameters(planned, dtype) for planned in cells}
    bases = [by_train_id[planned.train_id] for planned in cells]
    origins = _origins(bench, procedures[0], by_train_id, cells, dtype)
    frozen = [{n: p for n, p in one.items() if n not in layout.names} for one in origins]
    weights = [
        procedure.weights(planned.facts.n_train, members, kept)
        for procedure, planned, members, kept in zip(procedures, cells, removed, left, strict=True)
    ]
    orders = [task.order_seed or 0 for task in batch.tasks]
    problem = stack_problem(bench, cells, layout, frozen, weights, trainings, orders)
    problem = anchored(problem, procedures, cells, torch.stack([*map(layout.flatten, bases)]))
    theta = [
        layout.flatten(_start(bench, *place))
        for place in zip(batch.tasks, cells, procedures, origins, strict=True)
    ]
    start = Start(
        torch.stack(theta),
        _memory(bench, cells, procedures, network, layout),
        orders,
    )
    trajectory = _trajectory(batch, bench, cells, origins)
    checkpoint = bench.checkpoint(batch)
    recorder = Recorder(progress, trajectory, checkpoint)
    restraints = [
        procedure.restrained(planned.cell.regularization.restraints(training))
        for procedure, planned, training in zip(procedures, cells, trainings, strict=True)
    ]
    fit = trainings[0].fit(trainings, problem, start, recorder, restraints)
    if trajectory is not None:
        trajectory.write(outcome)
    test_losses = []
    halfway: Halfway | None = None
    for position, (planned, members, base) in enumerate(zip(cells, removed, bases, strict=True)):
        parameters = {**origins[position], **layout.unflatten(fit.theta[position])}
        # Retrainings of one base model follow one another.
        if position == 0 or planned.train_id != cells[position - 1].train_id:
            halfway = _halfway(bench, planned, layout, origins[position])
        moved = network.layout.flatten(parameters) - network.layout.flatten(base)
        on_test = record_training(
            outcome,
            bench,
            planned,
            position,
            fit,
            parameters,
            halfway,
            role="placebo" if members is None else "retraining",
            removed=removed_words(procedures[position], members),
            distance=float(moved.norm()),
            artifact=None,
        )
        test_losses.append(on_test)
    outcome.arrays = {"test_loss": np.stack(test_losses)}
    return outcome


def _halfway(
    bench: Workbench, planned: PlannedCell, layout: Layout, origin: dict[str, Tensor]
) -> Halfway | None:
    """Returns the test examples behind the layers that stay frozen, if any do."""
    network = bench.network(planned)
    parts = network.split(layout)
    if parts is None:
        return None
    tensors = bench.examples(planned, next(iter(origin.values())).dtype)
    return Halfway.of(network, parts, origin, tensors.test_inputs)


def _procedure(bench: Workbench, task: Task) -> Procedure:
    return bench.cell(task).cell.procedures[str(task.procedure)]


def _origins(
    bench: Workbench,
    procedure: Procedure,
    bases: dict[str, dict[str, Tensor]],
    cells: Sequence[PlannedCell],
    dtype: torch.dtype,
) -> list[dict[str, Tensor]]:
    """Returns where each warm start begins, given the base models by their training's id."""
    found = bases
    if procedure.conduct.from_last:
        found = {c.train_id: bench.last_iterate(c, dtype) for c in cells}
    return [found[planned.train_id] for planned in cells]


def _removed(batch: Batch, bench: Workbench) -> tuple[list[NDArray[np.int64] | None], list[float]]:
    """Returns what each task removes, None for a placebo, and what it leaves of their weight."""
    chosen: dict[tuple[int, str | None], Chosen] = {}
    removed: list[NDArray[np.int64] | None] = []
    left: list[float] = []
    for task in batch.tasks:
        place = (task.cell, task.procedure)
        if place not in chosen:
            chosen[place] = bench.removed(task)
        removed.append(None if task.slot is None else chosen[place].members[task.slot])
        left.append(0.0 if task.slot is None else chosen[place].weight(task.slot))
    return removed, left


def _start(
    bench: Workbench,
    task: Task,
    planned: PlannedCell,
    procedure: Procedure,
    origin: dict[str, Tensor],
) -> dict[str, Tensor]:
    if not procedure.conduct.cold:
        return origin
    replicate = task.replicate or 0
    return bench.initial(planned, initial_seed(planned.cell, replicate))


def _memory(
    bench: Workbench,
    cells: Sequence[PlannedCell],
    procedures: Sequence[Procedure],
    network: Network,
    layout: Layout,
) -> dict[str, Tensor]:
    """Returns what the base optimizers remember of the coordinates that are retrained."""
    if not procedures[0].conduct.resumes:
        return {}
    memories = [bench.memory(planned) for planned in cells]
    return {
        name: torch.stack([_coordinates(memory[name], network, layout) for memory in memories])
        for name in memories[0]
    }


def _coordinates(value: Tensor, network: Network, layout: Layout) -> Tensor:
    if value.shape[-1:] != (network.layout.size,):
        return value
    return layout.flatten(network.layout.unflatten(value))


def _trajectory(
    batch: Batch,
    bench: Workbench,
    cells: Sequence[PlannedCell],
    origins: Sequence[dict[str, Tensor]],
) -> LossTrajectory | None:
    every = _procedure(bench, batch.tasks[0]).conduct.record_every
    if not every:
        return None
    tensors = bench.examples(cells[0], cells[0].cell.training.torch_dtype)
    points = [
        bench.test_points(planned, _procedure(bench, task)).points.tolist()
        for task, planned in zip(batch.tasks, cells, strict=True)
    ]
    network = bench.network(cells[0])
    layout = network.select(_procedure(bench, batch.tasks[0]).parameters)
    names = [name for name in origins[0] if name not in layout.names]
    frozen = {name: torch.stack([origin[name] for origin in origins]) for name in names}
    return LossTrajectory(every, network, bench.loss(cells[0]), layout, frozen, tensors, points)
