"""Penalties."""

from __future__ import annotations

import torch

from fragility.models.mlp import MLP
from fragility.regularizers import REGULARIZERS, Regularization
from fragility.regularizers.l1 import L1
from fragility.regularizers.none import NoRegularization
from fragility.regularizers.weight_decay import WeightDecay
from tests.problems import data

LAYOUT = MLP(hidden=(4,)).network((5,), 2).layout


def test_strengths_of_each_parameter() -> None:
    assert WeightDecay(strength=0.3).decay(LAYOUT) == dict.fromkeys(LAYOUT.names, 0.3)
    assert WeightDecay(strength=0.3, parameters="weights").decay(LAYOUT) == {
        "1.weight": 0.3,
        "1.bias": 0.0,
        "3.weight": 0.3,
        "3.bias": 0.0,
    }
    assert set(Regularization.of(NoRegularization()).decay(LAYOUT).values()) == {0.0}
    both = Regularization.of((WeightDecay(strength=0.3), L1(strength=2.0)))
    assert both.decay(LAYOUT) == dict.fromkeys(LAYOUT.names, 0.3)


def test_the_room_knows_all() -> None:
    assert list(REGULARIZERS.methods) == [
        "augmentation",
        "dropout",
        "early_stopping",
        "gradient_clipping",
        "l1",
        "label_smoothing",
        "none",
        "swa",
        "weight_decay",
    ]


def test_the_convention_is_that_of_torch_optimizers() -> None:
    """One SGD step of torch with `weight_decay` is one along the gradient of our objective."""
    strength, rate = 0.3, 0.1
    inputs, targets = data("classification", 20)
    module = torch.nn.Linear(5, 3).double()
    start = torch.nn.utils.parameters_to_vector(module.parameters()).detach()
    optimizer = torch.optim.SGD(module.parameters(), lr=rate, weight_decay=strength)
    torch.nn.functional.cross_entropy(module(inputs), targets).backward()
    optimizer.step()
    moved = torch.nn.utils.parameters_to_vector(module.parameters()).detach()

    point = start.clone().requires_grad_()
    outputs = inputs @ point[:15].reshape(3, 5).T + point[15:]
    loss = torch.nn.functional.cross_entropy(outputs, targets)
    (loss + strength / 2 * point.square().sum()).backward()
    torch.testing.assert_close(moved, start - rate * point.grad)
