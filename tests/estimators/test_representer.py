"""Representer points against kernel ridge regression, and against sums that they have to meet."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.kernel_ridge import KernelRidge

from fragility.errors import MethodFailure
from fragility.estimators.exact import Exact
from fragility.estimators.representer import Representer
from fragility.models.linear import Linear
from fragility.models.mlp import MLP
from fragility.numerics.trained import TrainedModel
from fragility.regularizers.weight_decay import WeightDecay
from tests.numerics.networks import example
from tests.problems import trained, with_parameters

ALL_TEST = torch.arange(8)
TANH = MLP(hidden=(4,), activation="tanh")


def output_gradients(model: TrainedModel) -> tuple[torch.Tensor, torch.Tensor]:
    """Test outputs (T, k), and the gradients of the test losses in them."""
    outputs = model.network(model.parameters, model.test_inputs).detach().requires_grad_()
    losses = model.loss.per_example(outputs, model.test_targets)
    return outputs.detach(), torch.autograd.grad(losses.sum(), outputs)[0]


def test_least_squares_equals_kernel_ridge_regression() -> None:
    """Its dual coefficients are the weights a_i, found by scikit-learn in another way."""
    strength = 0.1
    model = trained(Linear(), "regression", WeightDecay(strength=strength), outputs=1)

    def design(inputs: torch.Tensor) -> np.ndarray:
        return np.hstack([inputs.numpy(), np.ones((len(inputs), 1))])

    X, A = design(model.inputs), design(model.test_inputs)
    ridge = KernelRidge(kernel="linear", alpha=model.n * strength / 2).fit(X, model.targets.numpy())
    values = (A @ X.T) * ridge.dual_coef_.T
    outputs, gradients = output_gradients(model)
    np.testing.assert_allclose(values.sum(axis=1), outputs[:, 0].numpy(), rtol=1e-8)
    found = Representer().estimate(model, ALL_TEST)
    np.testing.assert_allclose(found.scores, -gradients.numpy() * values, rtol=1e-8, atol=1e-12)
    assert found.diagnostics["representer_residual"] < 1e-9


@pytest.mark.parametrize("task", ["classification", "regression"])
@pytest.mark.parametrize("architecture", [Linear(), TANH], ids=["linear", "mlp"])
def test_all_terms_together_are_the_outputs(architecture: Linear | MLP, task: str) -> None:
    """What the examples hold up together is all there is: the scores sum to -(df/do)^T o."""
    model = trained(architecture, task, WeightDecay(strength=0.05))
    outputs, gradients = output_gradients(model)
    scores = Representer().estimate(model, ALL_TEST).scores
    torch.testing.assert_close(
        scores.sum(dim=1), -(gradients * outputs).sum(dim=1), rtol=1e-8, atol=1e-10
    )


def test_a_bias_without_penalty_stays() -> None:
    """Only the outputs less the bias are made of examples."""
    decay = WeightDecay(strength=0.05, parameters="weights")
    model = trained(TANH, "classification", decay)
    outputs, gradients = output_gradients(model)
    wanted = -(gradients * (outputs - model.parameters["3.bias"])).sum(dim=1)
    for parameters in ("last_layer", "last_layer_weight"):
        estimator = Representer.model_validate({"parameters": parameters})
        scores = estimator.estimate(model, ALL_TEST).scores
        torch.testing.assert_close(scores.sum(dim=1), wanted, rtol=1e-8, atol=1e-10)


def test_scores_are_influence_with_the_penalty_as_curvature() -> None:
    """In the limit of strong decay the objective's own curvature is the penalty's."""
    model = trained(Linear(), "classification", WeightDecay(strength=1e4))
    exact = Exact().estimate(model, ALL_TEST).scores
    found = Representer().estimate(model, ALL_TEST).scores
    torch.testing.assert_close(found, exact, rtol=1e-3, atol=0)


def last_inputs(model: TrainedModel, inputs: torch.Tensor) -> torch.Tensor:
    """What the last layer is given."""
    seen = []
    layer = model.network.module.get_submodule(model.network.last_layer)
    handle = layer.register_forward_pre_hook(lambda _, given: seen.append(given[0].detach()))
    model.network(model.parameters, inputs)
    handle.remove()
    return seen[0]


def stationary(name: str) -> TrainedModel:
    """A network whose last weight solves the normal equations of ridge regression."""
    model = example(name, "regression")
    weight, bias = (f"{model.network.last_layer}.{part}" for part in ("weight", "bias"))
    phi = last_inputs(model, model.inputs)
    penalty = model.n * model.decay[weight] / 2
    normal = phi.T @ phi + penalty * torch.eye(phi.shape[1], dtype=phi.dtype)
    solved = torch.linalg.solve(normal, phi.T @ (model.targets - model.parameters[bias])).T
    return replace(model, parameters={**model.parameters, weight: solved})


@pytest.mark.parametrize("name", ["convolution", "residual"])
def test_the_values_of_the_paper_written_out(name: str) -> None:
    model = stationary(name)
    train = model.network(model.parameters, model.inputs).detach().requires_grad_()
    (delta,) = torch.autograd.grad(model.loss.per_example(train, model.targets).sum(), train)
    weight = f"{model.network.last_layer}.weight"
    alpha = -delta / (model.decay[weight] * model.n)
    phi, phi_test = last_inputs(model, model.inputs), last_inputs(model, model.test_inputs)
    torch.testing.assert_close(alpha.T @ phi, model.parameters[weight], rtol=1e-8, atol=1e-10)
    _, gradients = output_gradients(model)
    wanted = -(gradients @ alpha.T) * (phi_test @ phi.T)
    found = Representer(parameters="last_layer_weight").estimate(model, torch.arange(4))
    torch.testing.assert_close(found.scores, wanted, rtol=1e-9, atol=1e-12)
    assert found.diagnostics["representer_residual"] < 1e-8


def test_what_cannot_be_taken_apart() -> None:
    free = trained(Linear(), "regression", WeightDecay(strength=0.0))
    with pytest.raises(MethodFailure, match="weight decay, and it has none"):
        Representer().estimate(free, ALL_TEST)
    model = trained(Linear(), "classification", WeightDecay(strength=0.1))
    optimum = model.vector(model.network.layout)
    with pytest.raises(MethodFailure, match=r"residual of .*Train longer"):
        Representer().estimate(with_parameters(model, 1.5 * optimum), ALL_TEST)
    near = Representer().estimate(with_parameters(model, 1.001 * optimum), ALL_TEST)
    assert 1e-4 < near.diagnostics["representer_residual"] < 0.1
