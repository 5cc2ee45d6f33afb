"""Builds stacks of models from tasks, trains them, and writes down how each ended."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fragility.execution.outcome import Outcome
from fragility.execution.workbench import Workbench
from fragility.numerics.evaluate import evaluate
from fragility.numerics.losses import accuracy
from fragility.numerics.network import Layout
from fragility.numerics.stack import StackProblem
from fragility.plan.tasks import PlannedCell
from fragility.training import Fit


def stack_problem(
    bench: Workbench,
    cells: Sequence[PlannedCell],
    layout: Layout,
    frozen: Sequence[dict[str, Tensor]],
    weights: Sequence[NDArray[np.float64]],
) -> StackProblem:
    """Returns the objectives of a stack whose k-th model stands in `cells[k]`.

    `frozen[k]` holds the parameters outside `layout`; `weights[k]` (n,) those of the examples.
    """
    first = cells[0]
    dtype = first.cell.training.torch_dtype
    network = bench.network(first)
    tensors = bench.examples(first, dtype)
    decay = [_strengths(planned, layout, network.layout) for planned in cells]
    return StackProblem(
        network=network,
        loss=bench.loss(first),
        layout=layout,
        frozen={name: torch.stack([f[name] for f in frozen]) for name in frozen[0]},
        inputs=tensors.inputs,
        targets=tensors.targets,
        weights=torch.from_numpy(np.stack(weights)).to(bench.device, dtype),
        decay=torch.tensor(decay, dtype=dtype, device=bench.device),
    )


def _strengths(planned: PlannedCell, layout: Layout, whole: Layout) -> list[float]:
    decay = planned.cell.regularization.decay(whole)
    sizes = zip(layout.names, layout.sizes, strict=True)
    return [decay[name] for name, size in sizes for _ in range(size)]


def record_training(
    outcome: Outcome,
    bench: Workbench,
    planned: PlannedCell,
    position: int,
    fit: Fit,
    parameters: dict[str, Tensor],
    **facts: object,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Writes the facts of one training, and returns its losses of training and test examples."""
    network, loss, task = bench.network(planned), bench.loss(planned), planned.facts.task
    tensors = bench.examples(planned, planned.cell.training.torch_dtype)
    train_losses, train_outputs = evaluate(
        network, loss, parameters, tensors.inputs, tensors.targets
    )
    test_losses, test_outputs = evaluate(
        network, loss, parameters, tensors.test_inputs, tensors.test_targets
    )
    outcome.add(
        "training_facts",
        position,
        steps=int(fit.steps[position]),
        converged=fit.converged[position],
        diverged=bool(fit.diverged[position]),
        grad_norm=float(fit.grad_norm[position]),
        initial_train_loss=float(fit.initial_loss[position]),
        train_loss=float(fit.final_loss[position]),
        train_accuracy=accuracy(train_outputs, tensors.targets, task),
        test_loss=float(test_losses.double().mean()),
        test_accuracy=accuracy(test_outputs, tensors.test_targets, task),
        **facts,
    )
    return train_losses.double().cpu().numpy(), test_losses.double().cpu().numpy()
