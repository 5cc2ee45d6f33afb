"""Trains the base models of a batch as one stack."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fragility.execution.outcome import Outcome
from fragility.execution.stacks import record_training, stack_problem
from fragility.execution.workbench import ITERATE, MEMORY, Workbench
from fragility.numerics.evaluate import evaluate
from fragility.numerics.losses import accuracy
from fragility.plan.identities import initial_seed
from fragility.plan.tasks import Batch, PlannedCell
from fragility.training import Recorder, Start


def train(batch: Batch, bench: Workbench, progress: Callable[[float], None]) -> Outcome:
    """Returns base models with the loss of every example under each."""
    outcome = Outcome(batch)
    cells = [bench.cell(task) for task in batch.tasks]
    layout = bench.network(cells[0]).layout
    seeds = [initial_seed(c.cell) for c in cells]
    initial = [bench.initial(c, seed) for c, seed in zip(cells, seeds, strict=True)]
    n = cells[0].facts.n_train
    trainings = [c.cell.training for c in cells]
    orders = [task.order_seed or 0 for task in batch.tasks]
    problem = stack_problem(
        bench,
        cells,
        layout,
        [{} for _ in cells],
        [np.full(n, 1 / n) for _ in cells],
        trainings,
        orders,
    )
    start = torch.stack([layout.flatten(values) for values in initial])
    recorder = Recorder(progress, checkpoint=bench.checkpoint(batch))
    restraints = [c.cell.regularization.restraints(c.cell.training) for c in cells]
    begin = Start(start, orders=orders)
    fit = trainings[0].fit(trainings, problem, begin, recorder, restraints)
    train_losses, test_losses = [], []
    for position, (task, planned) in enumerate(zip(batch.tasks, cells, strict=True)):
        parameters = layout.unflatten(fit.theta[position])
        on_train, train_accuracy = _on_training_set(bench, planned, parameters)
        on_test = record_training(
            outcome,
            bench,
            planned,
            position,
            fit,
            parameters,
            role="base",
            removed=None,
            train_accuracy=train_accuracy,
            distance=float((fit.theta[position] - start[position]).norm()),
            artifact=f"models/{task.task_id}.safetensors",
        )
        _record_planted(outcome, bench, planned, position)
        train_losses.append(on_train)
        test_losses.append(on_test)
        outcome.models[task.task_id] = {n: p.cpu().numpy() for n, p in parameters.items()}
        if fit.memory:
            memory = {name: value[position].cpu().numpy() for name, value in fit.memory.items()}
            outcome.models[task.task_id + MEMORY] = memory
        if fit.iterate is not None and restraints[position].averaging is not None:
            last = layout.unflatten(fit.iterate[position])
            outcome.models[task.task_id + ITERATE] = {n: p.cpu().numpy() for n, p in last.items()}
        if bool(fit.diverged[position]):
            outcome.fail(
                position,
                f"training diverged within {int(fit.steps[position])} steps: its objective is not "
                "finite. Lower the learning rate.",
            )
    outcome.arrays = {"train_loss": np.stack(train_losses), "test_loss": np.stack(test_losses)}
    return outcome


def _record_planted(
    outcome: Outcome, bench: Workbench, planned: PlannedCell, position: int
) -> None:
    """Adds a row for every training example that the cell's dataset planted."""
    data = bench.catalog.data(planned.cell.dataset, planned.cell.seed)
    copies, originals = data.copies.T
    for what, points, original in (
        ("flipped", data.flipped, data.flipped_from),
        ("copy", copies, originals),
    ):
        if len(points):
            outcome.add(
                "planted_facts",
                position,
                train_point=points,
                what=what,
                original=original,
                source_row=data.train.rows[points],
            )


def _on_training_set(
    bench: Workbench, planned: PlannedCell, parameters: dict[str, Tensor]
) -> tuple[NDArray[np.float64], float | None]:
    """Returns the loss of each training example, and the accuracy."""
    tensors = bench.examples(planned, planned.cell.training.torch_dtype)
    losses, outputs = evaluate(
        bench.network(planned), bench.loss(planned), parameters, tensors.inputs, tensors.targets
    )
    return losses.double().cpu().numpy(), accuracy(outputs, tensors.targets, planned.facts.task)
