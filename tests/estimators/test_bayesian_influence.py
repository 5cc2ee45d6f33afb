"""Influence for a Bayesian network against an objective, its Hessian and a removal written out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import Tensor
from torch.distributions import Normal, kl_divergence
from torch.nn import functional

from fragility.errors import MethodFailure
from fragility.estimators.cg import CG
from fragility.estimators.exact import Exact
from fragility.models.bnn_mlp import BayesianMLP
from fragility.numerics.trained import TrainedModel

N, NOISE = 12, 0.1
MODEL = BayesianMLP(hidden=(3,), activation="tanh", noise=NOISE, rho=(-2, 0))


def draws(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def trained() -> TrainedModel:
    network = MODEL.network((2,), 3)
    targets = torch.randint(0, 3, (N + 4,), generator=torch.Generator().manual_seed(1))
    inputs = draws(2, N + 4, 2)
    return TrainedModel(
        network=network,
        loss=MODEL.loss("classification", N),
        test_loss=MODEL.measured("classification"),
        decay=dict.fromkeys(network.layout.names, 0.0),
        penalties=MODEL.penalties(network.layout, N),
        parameters=MODEL.initial((2,), 3, 4, torch.float64),
        inputs=inputs[:N],
        targets=targets[:N],
        test_inputs=inputs[N:],
        test_targets=targets[N:],
    )


def moments_by_hand(values: dict[str, Tensor], x: Tensor) -> tuple[Tensor, Tensor]:
    """Of one example (d,), sum by sum."""
    v = {name: functional.softplus(value) for name, value in values.items() if "rho" in name}
    hidden = values["1.weight"] @ x + values["1.bias"]
    spread = v["1.weight_rho"] @ x**2 + v["1.bias_rho"]
    m, s = torch.tanh(hidden), (1 - torch.tanh(hidden) ** 2) ** 2 * spread
    weight = values["3.weight"]
    mean = weight @ m + values["3.bias"]
    variance = v["3.weight_rho"] @ m**2 + v["3.weight_rho"] @ s + weight**2 @ s + v["3.bias_rho"]
    return mean, variance


def loss_by_hand(values: dict[str, Tensor], x: Tensor, target: Tensor) -> Tensor:
    mean, variance = moments_by_hand(values, x)
    p = torch.softmax(mean, dim=0)
    jacobian = torch.diag(p) - torch.outer(p, p)
    s = torch.diagonal(jacobian @ torch.diag(variance) @ jacobian.T) + NOISE
    return -Normal(p, s.sqrt()).log_prob(functional.one_hot(target, 3).double()).sum()


def divergence_by_hand(values: dict[str, Tensor]) -> Tensor:
    prior = Normal(torch.zeros(()).double(), torch.ones(()).double())
    parts = [
        kl_divergence(Normal(value, functional.softplus(values[f"{name}_rho"]).sqrt()), prior).sum()
        for name, value in values.items()
        if not name.endswith("_rho")
    ]
    return torch.stack(parts).sum()


def objective_by_hand(at: TrainedModel, values: dict[str, Tensor]) -> Tensor:
    losses = [loss_by_hand(values, x, y) for x, y in zip(at.inputs, at.targets, strict=True)]
    return torch.stack(losses).mean() + divergence_by_hand(values) / N


def test_the_gradient_is_that_of_the_objective_written_out() -> None:
    at = trained()
    layout = at.network.layout
    flat = at.vector(layout).requires_grad_()
    (expected,) = torch.autograd.grad(objective_by_hand(at, layout.unflatten(flat)), flat)
    torch.testing.assert_close(at.mean_gradient(layout), expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("parameters", ["last_layer_weight", "last_layer", "all"])
def test_scores_are_those_of_the_hessian_written_out(parameters: str) -> None:
    at = trained()
    layout = at.network.select(parameters)  # type: ignore[arg-type]
    at_point = at.vector(layout)

    def whole(flat: Tensor) -> dict[str, Tensor]:
        return {**at.parameters, **layout.unflatten(flat)}

    hessian = torch.autograd.functional.hessian(
        lambda flat: objective_by_hand(at, whole(flat)), at_point
    )
    hessian.diagonal().add_(3.0)

    def gradients(of: Callable[..., Tensor], inputs: Tensor, targets: Tensor) -> Tensor:
        rows = []
        for example in zip(inputs, targets, strict=True):
            flat = at_point.clone().requires_grad_()
            rows.append(torch.autograd.grad(of(whole(flat), *example), flat)[0])
        return torch.stack(rows)

    def measured(values: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
        return -torch.log_softmax(moments_by_hand(values, x)[0], dim=0)[y]

    train = gradients(loss_by_hand, at.inputs, at.targets)
    test = gradients(measured, at.test_inputs, at.test_targets)
    expected = test @ torch.linalg.solve(hessian, train.T) / N
    for estimator in (Exact, partial(CG, tolerance=1e-12)):
        found = estimator(parameters=parameters, damping=3.0).estimate(at, torch.arange(4)).scores
        torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-12)


def test_what_needs_a_convex_loss_is_refused() -> None:
    at = trained()
    refused = (
        Exact(curvature="gauss_newton", damping=0.1),
        Exact(damping={"relative": 0.1}),  # type: ignore[arg-type]
        CG(preconditioner_rank=3, damping=0.1),
    )
    for estimator in refused:
        with pytest.raises(MethodFailure, match="convex in the outputs"):
            estimator.estimate(at, torch.arange(4))
    fisher = Exact(curvature="empirical_fisher", damping=0.1).estimate(at, torch.arange(4))
    assert bool(torch.isfinite(fisher.scores).all())


@pytest.mark.parametrize("log_determinant", [None, 0.7])
def test_scores_as_published_are_of_the_likelihood_without_its_biases(
    log_determinant: float | None,
) -> None:
    """Both gradients and the Hessian of the trained loss, written out with the biases left out."""
    model = BayesianMLP(
        hidden=(3,),
        activation="tanh",
        rho=(0, 5),
        biases="additive",
        softmax="diagonal",
        objective="published",
        log_determinant=0.1,
        divergence=0.01,
        test_loss="double_softmax",
    )
    at = replace(
        trained(),
        network=model.network((2,), 3),
        loss=model.loss("classification", N),
        test_loss=model.measured("classification"),
        penalties=model.penalties(model.network((2,), 3).layout, N),
        decay=dict.fromkeys(model.network((2,), 3).layout.names, 0.0),
        parameters=model.initial((2,), 3, 4, torch.float64),
    )
    values = at.parameters
    factor = 0.1 / N if log_determinant is None else log_determinant

    def loss(flat: Tensor, x: Tensor, target: Tensor) -> Tensor:
        v = {name: functional.softplus(value) for name, value in values.items() if "rho" in name}
        hidden = values["1.weight"] @ x + values["1.bias"]
        spread = v["1.weight_rho"] @ x**2 + values["1.bias_variance"]
        m, s = torch.tanh(hidden), (1 - torch.tanh(hidden) ** 2) ** 2 * spread
        weight = flat.reshape(3, 3)
        mean = weight @ m
        variance = v["3.weight_rho"] @ (m**2 + s) + weight**2 @ s
        p = torch.softmax(mean, dim=0)
        sigma = torch.log1p(torch.exp(torch.clamp((p * (1 - p)) ** 2 * variance, 0, 88)))
        errors = (functional.one_hot(target, 3).double() - p) ** 2
        return torch.outer(errors, 1 / sigma).mean() + factor * torch.log(sigma.prod())

    flat = values["3.weight"].flatten()
    pairs = list(zip(at.inputs, at.targets, strict=True))
    tests = list(zip(at.test_inputs, at.test_targets, strict=True))
    jacobian = torch.autograd.functional.jacobian
    train = torch.stack([jacobian(partial(loss, x=x, target=y), flat) for x, y in pairs])
    test = torch.stack([jacobian(partial(loss, x=x, target=y), flat) for x, y in tests])

    def mean_loss(flat: Tensor) -> Tensor:
        return torch.stack([loss(flat, x, y) for x, y in pairs]).mean()

    hessian = torch.autograd.functional.hessian(mean_loss, flat)
    hessian.diagonal().add_(0.001)
    expected = test @ torch.linalg.inv(hessian) @ train.T
    departures = {"last_layer_bias": "dropped", "test_gradient": "trained", "divisor": 1,
                  "log_determinant": log_determinant}  # fmt: skip
    estimator = Exact.model_validate(
        {
            "parameters": "last_layer_weight",
            "damping": 0.001,
            "curvature_includes_regularization": False,
            "departures": departures,
        }
    )
    found = estimator.estimate(at, torch.arange(4)).scores
    torch.testing.assert_close(found, expected, rtol=1e-7, atol=1e-10)


def test_a_loss_without_a_log_determinant_has_none_to_weigh() -> None:
    estimator = Exact.model_validate({"damping": 1.0, "departures": {"log_determinant": 0.001}})
    with pytest.raises(MethodFailure, match="gaussian likelihood, which has no log-determinant"):
        estimator.estimate(trained(), torch.arange(4))
