"""Builds stacks of models from tasks, trains them, and writes down how each ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fragility.execution.outcome import Outcome
from fragility.execution.workbench import Workbench
from fragility.numerics.evaluate import Halfway, evaluate, features_of
from fragility.numerics.losses import accuracy
from fragility.numerics.network import Layout, Network
from fragility.numerics.noise import Draws
from fragility.numerics.penalties import Term
from fragility.numerics.stack import StackProblem
from fragility.plan.tasks import PlannedCell
from fragility.training import Fit, Training


def stack_problem(
    bench: Workbench,
    cells: Sequence[PlannedCell],
    layout: Layout,
    frozen: Sequence[dict[str, Tensor]],
    weights: Sequence[NDArray[np.float64]],
    trainings: Sequence[Training],
    seeds: Sequence[int],
) -> StackProblem:
    """Returns the objectives of a stack whose k-th model stands in `cells[k]`.

    `frozen[k]` holds the parameters outside `layout`; `weights[k]` (n,) those of the examples;
    `trainings[k]` is how it is trained, and `seeds[k]` that of what training draws at its steps.
    Where the first layers of a sequence are frozen, that prefix is computed once for each base
    model, and the stack is one of the suffixes on its features.
    """
    first = cells[0]
    regularization, dtype = first.cell.regularization, trainings[0].torch_dtype
    noise = regularization.noise(trainings[0])
    network = noise.network(bench.network(first))
    tensors = bench.examples(first, dtype)
    decays = [planned.cell.regularization.decay(network.layout) for planned in cells]
    problem = StackProblem(
        network=network,
        loss=first.trained_loss,
        layout=layout,
        frozen={name: torch.stack([f[name] for f in frozen]) for name in frozen[0]},
        inputs=tensors.inputs,
        targets=tensors.targets,
        weights=torch.from_numpy(np.stack(weights)).to(bench.device, dtype),
        decay=_spread(decays, layout, dtype, bench.device),
        terms=_terms(cells, layout, network.layout, dtype, bench.device),
        draws=Draws(noise, tuple(seeds)) if noise else None,
    )
    parts = None if noise.augments else network.split(layout)
    return problem if parts is None else _on_features(problem, *parts, cells, frozen)


def _on_features(
    problem: StackProblem,
    prefix: Network,
    suffix: Network,
    cells: Sequence[PlannedCell],
    frozen: Sequence[dict[str, Tensor]],
) -> StackProblem:
    """Returns the problem of the suffixes on the features that their frozen prefixes hand on."""
    prefixes = {planned.train_id: f for planned, f in zip(cells, frozen, strict=True)}
    features = {i: features_of(prefix, f, problem.inputs) for i, f in prefixes.items()}
    shared = len(features) == 1
    return replace(
        problem,
        network=suffix,
        frozen={n: value for n, value in problem.frozen.items() if n in suffix.layout.names},
        inputs=features[cells[0].train_id]
        if shared
        else torch.stack([features[planned.train_id] for planned in cells]),
        own_inputs=not shared,
    )


def _terms(
    cells: Sequence[PlannedCell],
    layout: Layout,
    whole: Layout,
    dtype: torch.dtype,
    device: torch.device,
) -> tuple[Term, ...]:
    """Returns the penalties beyond L2; a model without one has it at strength 0."""
    penalties = [planned.penalties(whole) for planned in cells]
    forms = dict.fromkeys(penalty.form for own in penalties for penalty in own)
    return tuple(
        Term(
            form,
            _spread(
                [next((p.strengths for p in own if p.form is form), {}) for own in penalties],
                layout,
                dtype,
                device,
            ),
        )
        for form in forms
    )


def _spread(
    strengths: Sequence[Mapping[str, float]],
    layout: Layout,
    dtype: torch.dtype,
    device: torch.device,
) -> Tensor:
    """Returns strengths by name as one of each coordinate, (K, P)."""

    def row(own: Mapping[str, float]) -> Tensor:
        names = zip(layout.names, layout.sizes, strict=True)
        return torch.cat([torch.full((n,), own.get(name, 0.0), dtype=dtype) for name, n in names])

    return torch.stack([row(own) for own in strengths]).to(device)


def record_training(
    outcome: Outcome,
    bench: Workbench,
    planned: PlannedCell,
    position: int,
    fit: Fit,
    parameters: dict[str, Tensor],
    halfway: Halfway | None = None,
    **facts: object,
) -> NDArray[np.float64]:
    """Writes the facts of one training, and returns the loss of each test example.

    `halfway`: the test examples behind the part of the network that other trainings share.
    """
    network, loss, task = bench.network(planned), bench.loss(planned), planned.facts.task
    tensors = bench.examples(planned, next(iter(parameters.values())).dtype)
    if halfway is None:
        found = evaluate(network, loss, parameters, tensors.test_inputs, tensors.test_targets)
    else:
        found = halfway.evaluate(loss, parameters, tensors.test_targets)
    test_losses, test_outputs = found
    outcome.gradients = fit.gradients
    outcome.add(
        "training_facts",
        position,
        steps=int(fit.steps[position]),
        converged=fit.converged[position],
        diverged=bool(fit.diverged[position]),
        grad_norm=float(fit.grad_norm[position]),
        initial_train_loss=float(fit.initial_loss[position]),
        train_loss=float(fit.final_loss[position]),
        test_loss=float(test_losses.double().mean()),
        test_accuracy=accuracy(test_outputs, tensors.test_targets, task),
        **facts,
    )
    return test_losses.double().cpu().numpy()
