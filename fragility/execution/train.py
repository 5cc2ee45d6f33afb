"""Trains the base models of a batch as one stack."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from fragility.execution.outcome import Outcome
from fragility.execution.stacks import record_training, stack_problem
from fragility.execution.workbench import Workbench
from fragility.plan.compile import initialization_seed
from fragility.plan.tasks import Batch
from fragility.training import Recorder


def train(batch: Batch, bench: Workbench, progress: Callable[[float], None]) -> Outcome:
    """Returns base models with the loss of every example under each."""
    outcome = Outcome(batch)
    cells = [bench.cell(task) for task in batch.tasks]
    layout = bench.network(cells[0]).layout
    seeds = [initialization_seed(c.cell.seed, c.cell.repeat) for c in cells]
    initial = [bench.initial(c, seed) for c, seed in zip(cells, seeds, strict=True)]
    n = cells[0].facts.n_train
    problem = stack_problem(
        bench, cells, layout, [{} for _ in cells], [np.full(n, 1 / n) for _ in cells]
    )
    trainings = [c.cell.training for c in cells]
    start = torch.stack([layout.flatten(values) for values in initial])
    fit = trainings[0].fit(trainings, problem, start, Recorder(progress=progress))
    train_losses, test_losses = [], []
    for position, (task, planned) in enumerate(zip(batch.tasks, cells, strict=True)):
        parameters = layout.unflatten(fit.theta[position])
        on_train, on_test = record_training(
            outcome,
            bench,
            planned,
            position,
            fit,
            parameters,
            role="base",
            removed=None,
            distance=float((fit.theta[position] - start[position]).norm()),
            artifact=f"models/{task.task_id}.safetensors",
        )
        train_losses.append(on_train)
        test_losses.append(on_test)
        outcome.models[task.task_id] = {n: p.cpu().numpy() for n, p in parameters.items()}
        if bool(fit.diverged[position]):
            outcome.fail(
                position,
                f"training diverged within {int(fit.steps[position])} steps: its objective is not "
                "finite. Lower the learning rate.",
            )
    outcome.arrays = {"train_loss": np.stack(train_losses), "test_loss": np.stack(test_losses)}
    return outcome
