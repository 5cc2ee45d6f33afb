"""A stack's objectives and gradients are those of its models one by one."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from fragility.models.base import Model
from fragility.models.linear import Linear
from fragility.models.mlp import MLP
from fragility.numerics import stack
from fragility.numerics.losses import loss_for
from fragility.numerics.stack import Evaluation, StackProblem
from tests.problems import data

CASES: dict[str, tuple[Model, str]] = {
    "linear": (Linear(), "classification"),
    "mlp": (MLP(hidden=(4, 3), activation="gelu"), "classification"),
    "regression": (MLP(hidden=(3,), activation="relu"), "regression"),
}
MODELS, N = 5, 23


def problem(case: str, dtype: torch.dtype = torch.float64) -> tuple[StackProblem, torch.Tensor]:
    model, task = CASES[case]
    inputs, targets = data(task, N)
    network = model.network(tuple(inputs.shape[1:]), 3)
    generator = torch.Generator().manual_seed(1)
    weights = torch.rand(MODELS, N, generator=generator, dtype=dtype) / N
    decay = torch.rand(MODELS, network.layout.size, generator=generator, dtype=dtype)
    theta = torch.stack(
        [network.layout.flatten(model.initial((5,), 3, k, dtype)) for k in range(MODELS)]
    )
    if targets.is_floating_point():
        targets = targets.to(dtype)
    made = StackProblem(
        network, loss_for(task), network.layout, {}, inputs.to(dtype), targets, weights, decay
    )
    return made, theta


def one_by_one(made: StackProblem, theta: torch.Tensor) -> Evaluation:
    objectives, data_losses, gradients = [], [], []
    for k in range(made.models):
        point = theta[k].clone().requires_grad_()
        parameters = {
            **made.layout.unflatten(point),
            **{name: value[k] for name, value in made.frozen.items()},
        }
        losses = made.loss.per_example(made.network(parameters, made.inputs), made.targets)
        data_loss = (made.weights[k] * losses).sum()
        objective = data_loss + (made.decay[k] * point.square()).sum() / 2
        (gradient,) = torch.autograd.grad(objective, point)
        objectives.append(objective.detach())
        data_losses.append(data_loss.detach())
        gradients.append(gradient)
    return Evaluation(*map(torch.stack, (objectives, data_losses, gradients)))


def assert_equal(found: Evaluation, expected: Evaluation) -> None:
    for name in ("objective", "data_loss", "gradient"):
        torch.testing.assert_close(
            getattr(found, name), getattr(expected, name), rtol=1e-12, atol=1e-13
        )


@pytest.mark.parametrize("case", CASES)
def test_a_stack_is_its_models_one_by_one(case: str) -> None:
    made, theta = problem(case)
    assert_equal(made.evaluate(theta), one_by_one(made, theta))


@pytest.mark.parametrize("case", CASES)
def test_blocks_change_nothing(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made, theta = problem(case)
    whole = made.evaluate(theta)
    for size in (1, 10_000, 30_000):
        monkeypatch.setattr(stack, "BLOCK_BYTES", size)
        assert_equal(replace(made).evaluate(theta), whole)


@pytest.mark.parametrize("case", CASES)
def test_blocks_are_as_large_as_the_device_allows(
    case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, theta = problem(case)
    whole = made.evaluate(theta)
    n, one = made.weights.shape[1], 8 * made.activations
    seen: list[torch.device] = []

    def of(device: torch.device) -> int:
        seen.append(device)
        return 2 * n * one

    monkeypatch.setattr(stack, "working_set", of)
    assert made.block(n) == 2
    assert_equal(replace(made).evaluate(theta), whole)
    assert set(seen) == {made.weights.device}


def test_frozen_parameters_are_each_models_own_and_have_no_gradient() -> None:
    made, theta = problem("mlp")
    whole = made.layout
    trained = made.network.select("last_layer")
    frozen = {n: v for n, v in whole.unflatten(theta).items() if n not in trained.names}
    part = replace(
        made, layout=trained, frozen=frozen, decay=made.decay[:, : trained.size].contiguous()
    )
    last = trained.flatten(whole.unflatten(theta))
    found = part.evaluate(last)
    assert found.gradient.shape == (MODELS, trained.size)
    assert_equal(found, one_by_one(part, last))
    assert_equal(
        part.select(torch.tensor([3, 1])).evaluate(last[[3, 1]]), found.select(torch.tensor([3, 1]))
    )


def test_a_part_of_a_stack_is_a_stack() -> None:
    made, theta = problem("mlp")
    index = torch.tensor([4, 0])
    assert_equal(made.select(index).evaluate(theta[index]), made.evaluate(theta).select(index))
    assert made.select(slice(1, 3)).models == 2


def test_an_evaluation_takes_models_from_one_of_two() -> None:
    made, theta = problem("linear")
    here, there = made.evaluate(theta), made.evaluate(theta + 1)
    mask = torch.tensor([True, False, False, True, False])
    mixed = here.where(mask, there)
    assert torch.equal(mixed.objective[mask], here.objective[mask])
    assert torch.equal(mixed.gradient[~mask], there.gradient[~mask])
