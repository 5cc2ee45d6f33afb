"""Products of gradients against torch's own backward, and against one step of descent."""

from __future__ import annotations

import pytest
import torch

from fragility.errors import MethodFailure
from fragility.estimators.grad_dot import GradDot
from fragility.models.mlp import MLP
from fragility.regularizers.weight_decay import WeightDecay
from tests.estimators.brute_force import both_gradients
from tests.numerics.networks import NETWORKS, example
from tests.problems import test_losses, trained, with_parameters


@pytest.mark.parametrize("task", ["classification", "regression"])
@pytest.mark.parametrize("name", NETWORKS)
def test_scores_are_products_of_gradients(name: str, task: str) -> None:
    model = example(name, task)
    test, train = both_gradients(model)
    found = GradDot().estimate(model, torch.arange(4)).scores
    torch.testing.assert_close(found, test @ train.T / model.n, rtol=1e-9, atol=1e-13)


def test_a_score_is_the_change_by_one_step_of_descent() -> None:
    """Steps with and without one example's term; the loss is compared, over the step's length."""
    decay = WeightDecay(strength=0.05)
    model = trained(MLP(hidden=(4,), activation="tanh"), "regression", decay)
    layout = model.network.layout
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(layout.size, generator=generator, dtype=torch.float64)
    model = with_parameters(model, start)
    scores = GradDot().estimate(model, torch.arange(8)).scores
    _, train = both_gradients(model)
    step = model.mean_gradient(layout)
    for i in (0, 11, 39):
        without = step - train[i] / model.n
        slopes = [
            (
                test_losses(with_parameters(model, start - length * without))
                - test_losses(with_parameters(model, start - length * step))
            )
            / length
            for length in (1e-4, -1e-4)
        ]
        torch.testing.assert_close(scores[:, i], sum(slopes) / 2, rtol=1e-5, atol=1e-8)


def test_float32_is_what_it_says() -> None:
    model = example("tanh")
    exact = GradDot().estimate(model, torch.arange(4)).scores
    found = GradDot(dtype="float32").estimate(model, torch.arange(4)).scores
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), exact, rtol=1e-4, atol=1e-7)


def test_a_diverged_model_is_a_failure() -> None:
    model = example("tanh")
    broken = with_parameters(model, torch.full_like(model.vector(model.network.layout), torch.nan))
    with pytest.raises(MethodFailure, match=r"diverged.*learning rate"):
        GradDot().estimate(broken, torch.arange(4))
