"""A minibatch's evaluation is that of its examples alone, whoever's batch and inputs they are."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from fragility.models.linear import Linear
from fragility.models.mlp import MLP
from fragility.numerics import stack
from fragility.numerics.losses import loss_for
from fragility.numerics.stack import StackProblem
from tests.problems import data

MODELS, N, BATCH = 5, 23, 6


def problem(task: str, own_inputs: bool) -> tuple[StackProblem, torch.Tensor]:
    model = Linear() if own_inputs else MLP(hidden=(4,), activation="gelu")
    inputs, targets = data(task, N)
    network = model.network((5,), 3)
    generator = torch.Generator().manual_seed(1)

    def draw(*shape: int) -> torch.Tensor:
        return torch.rand(*shape, generator=generator, dtype=torch.float64)

    made = StackProblem(
        network=network,
        loss=loss_for(task),
        layout=network.layout,
        frozen={},
        inputs=draw(MODELS, N, 5) if own_inputs else inputs,
        targets=targets,
        weights=draw(MODELS, N) / N,
        decay=draw(MODELS, 1),
        own_inputs=own_inputs,
    )
    return made, draw(MODELS, network.layout.size)


@pytest.mark.parametrize("blocks", [1, 2**30], ids=["one by one", "whole"])
@pytest.mark.parametrize("own_rows", [False, True])
@pytest.mark.parametrize("own_inputs", [False, True])
@pytest.mark.parametrize("task", ["classification", "regression"])
def test_rows_are_evaluated_as_a_problem_of_their_own(
    task: str, own_inputs: bool, own_rows: bool, blocks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stack, "BLOCK_BYTES", blocks)
    made, theta = problem(task, own_inputs)
    generator = torch.Generator().manual_seed(2)
    drawn = torch.stack([torch.randperm(N, generator=generator)[:BATCH] for _ in range(MODELS)])
    here = made.evaluate_rows(theta, drawn if own_rows else drawn[0])
    for k in range(MODELS):
        rows = drawn[k] if own_rows else drawn[0]
        alone = replace(
            made,
            inputs=made.inputs[k][rows] if own_inputs else made.inputs[rows],
            targets=made.targets[rows],
            weights=made.weights[k : k + 1, rows] * N / BATCH,
            decay=made.decay[k : k + 1],
            own_inputs=False,
        ).evaluate(theta[k : k + 1])
        torch.testing.assert_close(here.objective[k], alone.objective[0])
        torch.testing.assert_close(here.data_loss[k], alone.data_loss[0])
        torch.testing.assert_close(here.gradient[k], alone.gradient[0])


def test_the_batches_of_an_epoch_average_to_the_whole() -> None:
    made, theta = problem("classification", own_inputs=False)
    batches = torch.randperm(N, generator=torch.Generator().manual_seed(0)).split(BATCH)
    gradient = torch.zeros_like(theta)
    for rows in batches:
        gradient += made.evaluate_rows(theta, rows).gradient * len(rows) / N
    torch.testing.assert_close(gradient, made.evaluate(theta).gradient)
