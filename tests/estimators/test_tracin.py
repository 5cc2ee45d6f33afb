"""Products of gradients along the training against autograd written out, and loss changes."""

from __future__ import annotations

import pytest
import torch

from fragility.errors import MethodFailure
from fragility.estimators.tracin import TracIn
from fragility.models.linear import Linear
from fragility.models.mlp import MLP
from fragility.numerics.trained import TrainedModel
from tests.problems import test_losses, with_parameters
from tests.trajectories import Run, full_batch, minibatch

TEST = torch.arange(8)
NET = MLP(hidden=(4,), activation="tanh")
STEP = {"kind": "step", "every": 7, "factor": 0.5}


def gradients(model: TrainedModel, theta: torch.Tensor, split: str) -> torch.Tensor:
    """Each example's gradient, (n, P), by one backward pass each."""
    inputs, targets = (
        (model.inputs, model.targets)
        if split == "train"
        else (model.test_inputs, model.test_targets)
    )
    rows = []
    for i in range(len(inputs)):
        point = theta.clone().requires_grad_()
        layout = model.network.layout
        loss = model.losses_at(layout, point, inputs[i : i + 1], targets[i : i + 1]).sum()
        rows.append(torch.autograd.grad(loss, point)[0])
    return torch.stack(rows)


def descended(run: Run, steps: int, rate: float) -> list[torch.Tensor]:
    """Parameters of plain gradient descent, written out, before each step and after the last."""
    model = run.untrained
    theta = [model.vector(model.network.layout)]
    for step in range(steps):
        point = theta[-1].clone().requires_grad_()
        losses = model.losses_at(model.network.layout, point, model.inputs, model.targets)
        objective = losses.mean() + run.strength / 2 * point.square().sum()
        (gradient,) = torch.autograd.grad(objective, point)
        theta.append(theta[-1] - rate * 0.5 ** (step // 7) * gradient)
    return theta


def test_a_checkpoint_a_step_of_descent_is_its_first_order_change_written_out() -> None:
    run = Run(NET, full_batch("sgd", 10, schedule=STEP))
    model, scores = run.model, torch.zeros(8, 40, dtype=torch.float64)
    for step, theta in enumerate(descended(run, 10, 0.2)[:-1]):
        products = gradients(model, theta, "test") @ gradients(model, theta, "train").T
        scores += 0.2 * 0.5 ** (step // 7) * products / 40
    for checkpoints in (10, 50):
        result = TracIn(checkpoints=checkpoints).estimate(model, TEST)
        torch.testing.assert_close(result.scores, scores, rtol=1e-9, atol=1e-13)
    assert result.diagnostics["replay_distance"] == 0


def test_checkpoints_stand_in_the_middle_of_equal_parts() -> None:
    """Ten steps in three parts: steps 0 to 2, 3 to 5 and 6 to 9."""
    run = Run(NET, full_batch("sgd", 10, schedule=STEP))
    model, scores = run.model, torch.zeros(8, 40, dtype=torch.float64)
    theta = descended(run, 10, 0.2)
    for middle, rates in ((1, 0.6), (4, 0.6), (8, 0.2 + 3 * 0.1)):
        there = theta[middle]
        scores += rates * gradients(model, there, "test") @ gradients(model, there, "train").T / 40
    result = TracIn(checkpoints=3).estimate(model, TEST)
    torch.testing.assert_close(result.scores, scores, rtol=1e-9, atol=1e-13)


def test_scores_of_all_examples_add_up_to_what_training_gained() -> None:
    """Without a penalty, small steps lower each test loss by the sum of its scores."""
    run = Run(NET, full_batch("slow", 300), strength=0.0)
    model = run.model
    gained = test_losses(run.untrained) - test_losses(model)
    scores = TracIn(checkpoints=300).estimate(model, TEST).scores
    assert float(gained.abs().min()) > 0.01
    torch.testing.assert_close(scores.sum(dim=1), gained, rtol=0.01, atol=0)


def test_minibatch_steps_count_every_example_by_its_share() -> None:
    """Eight epochs of four batches in one part: 32 learning rates, at the end of the fourth."""
    run = Run(Linear(), minibatch("sgd", 8))
    model = run.model
    theta = Run(Linear(), minibatch("sgd", 4)).model.vector(model.network.layout)
    products = gradients(model, theta, "test") @ gradients(model, theta, "train").T
    result = TracIn(checkpoints=1).estimate(model, TEST)
    torch.testing.assert_close(result.scores, 32 * 0.2 / 40 * products, rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_a_copy_of_the_test_example_was_helping(optimizer: str) -> None:
    run = Run(NET, full_batch(optimizer, 60))
    run.untrained.inputs[[3, 4]] = run.untrained.test_inputs[0]
    run.untrained.targets[3] = run.untrained.test_targets[0]
    run.untrained.targets[4] = (run.untrained.test_targets[0] + 1) % 3
    scores = TracIn().estimate(run.model, TEST).scores[0]
    assert int(scores.argmax()) == 3
    assert float(scores[3]) > 0 > float(scores[4])


def test_some_parameters_have_the_part_of_the_products_that_is_theirs() -> None:
    model = Run(NET, full_batch("sgd", 10, schedule=STEP)).model
    first, last = (
        TracIn(parameters=which).estimate(model, TEST).scores for which in (("1.*",), "last_layer")
    )
    whole = TracIn().estimate(model, TEST).scores
    torch.testing.assert_close(first + last, whole, rtol=1e-9, atol=1e-13)
    assert not torch.allclose(last, whole, rtol=0.1)


def test_a_training_of_no_steps_gave_nothing() -> None:
    scores = TracIn().estimate(Run(NET, full_batch("sgd", 0)).model, TEST).scores
    assert not bool(scores.any())


def test_what_has_no_history_or_another_end_is_refused() -> None:
    model = Run(NET, full_batch("lbfgs", 5)).model
    with pytest.raises(MethodFailure, match="`tracin` follows first-order training"):
        TracIn().estimate(model, TEST)
    model = Run(NET, full_batch("sgd")).model
    moved = with_parameters(model, model.vector(model.network.layout) + 1)
    with pytest.raises(MethodFailure, match=r"ends .* from the model"):
        TracIn().estimate(moved, TEST)
