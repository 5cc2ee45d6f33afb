"""A minibatch's evaluation is that of its examples alone, whoever's batch and inputs they are."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from fragility.models.lenet import LeNet
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


@pytest.mark.parametrize("own_rows", [False, True])
def test_images_of_a_batch_are_taken_in_passes(
    own_rows: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = torch.Generator().manual_seed(3)
    model, shape = LeNet(width=0.5), (1, 16, 16)
    network = model.network(shape, 3)
    made = StackProblem(
        network=network,
        loss=loss_for("classification"),
        layout=network.layout,
        frozen={},
        inputs=torch.randn(N, *shape, generator=generator, dtype=torch.float64),
        targets=torch.randint(3, (N,), generator=generator),
        weights=torch.rand(2, N, generator=generator, dtype=torch.float64) / N,
        decay=torch.rand(2, 1, generator=generator, dtype=torch.float64),
    )
    theta = torch.stack(
        [network.layout.flatten(model.initial(shape, 3, k, torch.float64)) for k in range(2)]
    )
    drawn = torch.stack([torch.randperm(N, generator=generator)[:BATCH] for _ in range(2)])
    monkeypatch.setattr(stack, "BLOCK_BYTES", 1)
    monkeypatch.setattr(stack, "PASS_EXAMPLES", 4)
    here = made.evaluate_rows(theta, drawn if own_rows else drawn[0])
    for k in range(2):
        rows = drawn[k] if own_rows else drawn[0]
        point = theta[k].clone().requires_grad_()
        outputs = network(network.layout.unflatten(point), made.inputs[rows])
        losses = torch.nn.functional.cross_entropy(outputs, made.targets[rows], reduction="none")
        loss = (made.weights[k, rows] * losses).sum() * N / BATCH
        (slope,) = torch.autograd.grad(loss, point)
        torch.testing.assert_close(here.data_loss[k], loss.detach())
        torch.testing.assert_close(here.gradient[k], slope + made.decay[k] * theta[k])


def test_the_batches_of_an_epoch_average_to_the_whole() -> None:
    made, theta = problem("classification", own_inputs=False)
    batches = torch.randperm(N, generator=torch.Generator().manual_seed(0)).split(BATCH)
    gradient = torch.zeros_like(theta)
    for rows in batches:
        gradient += made.evaluate_rows(theta, rows).gradient * len(rows) / N
    torch.testing.assert_close(gradient, made.evaluate(theta).gradient)
