"""Newton's method on stacks of convex objectives, against closed forms and other optimizers."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from fragility.models.linear import Linear
from fragility.models.mlp import MLP
from fragility.numerics.conjugate_gradients import conjugate_gradients
from fragility.numerics.convex import base
from fragility.numerics.convex.affine import affine_stack, from_rows, is_affine, to_rows
from fragility.numerics.convex.general import GeneralStack
from fragility.numerics.evaluate import features_of
from fragility.numerics.losses import CROSS_ENTROPY, SQUARED_ERROR
from fragility.numerics.network import Network
from fragility.numerics.newton import Optima, optima
from fragility.numerics.stack import StackProblem
from tests.problems import data


def stack(
    task: str = "classification",
    *,
    n: int = 40,
    features: int = 5,
    outputs: int = 3,
    models: int = 6,
    decay: float | Tensor = 0.05,
    seed: int = 0,
    network: Network | None = None,
) -> StackProblem:
    """Models that each lack one example."""
    inputs, targets = data(task, n, features, outputs, seed)
    network = network or Linear().network((features,), outputs)
    weights = torch.full((models, n), 1 / (n - 1), dtype=torch.float64)
    weights[torch.arange(models), torch.arange(models)] = 0
    return StackProblem(
        network,
        CROSS_ENTROPY if task == "classification" else SQUARED_ERROR,
        network.layout,
        {},
        inputs,
        targets,
        weights,
        torch.as_tensor(decay, dtype=torch.float64).expand(models, -1)
        if isinstance(decay, Tensor)
        else torch.full((models, 1), decay, dtype=torch.float64),
    )


def zeros(problem: StackProblem) -> Tensor:
    return problem.inputs.new_zeros(problem.models, problem.layout.size)


def solve(
    problem: StackProblem, start: Tensor | None = None, tolerance: float = 1e-10, steps: int = 100
) -> Optima:
    start = zeros(problem) if start is None else start
    return optima(
        problem,
        start,
        start.new_full((problem.models,), tolerance),
        torch.full((problem.models,), steps),
    )


def norms(problem: StackProblem, found: Optima) -> Tensor:
    """The gradient norms by automatic differentiation, whatever the solver says of itself."""
    return problem.evaluate(found.theta).gradient.norm(dim=1)


@settings(max_examples=40, deadline=None)
@given(
    task=st.sampled_from(["classification", "regression"]),
    n=st.integers(2, 40),
    features=st.integers(1, 12),
    outputs=st.integers(2, 4),
    models=st.integers(1, 7),
    decays=st.lists(st.sampled_from([1e-4, 1e-2, 1.0, 30.0]), min_size=1, max_size=3),
    start=st.sampled_from([0.0, 0.1, 3.0]),
    seed=st.integers(0, 10_000),
)
def test_penalized_problems_reach_their_optimum_whatever_the_weights(
    task: str,
    n: int,
    features: int,
    outputs: int,
    models: int,
    decays: list[float],
    start: float,
    seed: int,
) -> None:
    problem = stack(task, n=n, features=features, outputs=outputs, models=1, seed=seed)
    generator = torch.Generator().manual_seed(seed)
    weights = torch.rand(models, n, generator=generator, dtype=torch.float64)
    weights[weights < 0.3] = 0
    strengths = torch.tensor([decays[k % len(decays)] for k in range(models)], dtype=torch.float64)
    problem = replace(problem, weights=weights / n, decay=strengths.unsqueeze(1))
    theta = start * torch.randn(zeros(problem).shape, generator=generator, dtype=torch.float64)
    found = solve(problem, theta, 1e-8)
    assert bool(found.converged.all())
    assert float(norms(problem, found).max()) <= 1.001e-8
    torch.testing.assert_close(found.grad_norm, norms(problem, found), rtol=1e-3, atol=1e-12)
    evaluation = problem.evaluate(found.theta)
    torch.testing.assert_close(found.final_loss, evaluation.data_loss)
    torch.testing.assert_close(found.initial_loss, problem.evaluate(theta).data_loss)


def test_least_squares_take_one_step_to_the_normal_equations() -> None:
    problem = stack("regression", decay=0.1)
    found = solve(problem)
    assert found.steps.tolist() == [1] * problem.models
    x = torch.cat([problem.inputs, torch.ones(40, 1, dtype=torch.float64)], dim=1)
    for k in range(problem.models):
        w = problem.weights[k].unsqueeze(1)
        normal = 2 * x.T @ (w * x) + 0.1 * torch.eye(6, dtype=torch.float64)
        exact = torch.linalg.solve(normal, 2 * x.T @ (w * problem.targets))
        ours = problem.layout.unflatten(found.theta[k])
        torch.testing.assert_close(ours["1.weight"], exact[:-1].T)
        torch.testing.assert_close(ours["1.bias"], exact[-1])


def test_a_high_leverage_example_is_taken_out_exactly() -> None:
    problem = stack(decay=1e-3)
    inputs = problem.inputs.clone()
    inputs[0] *= 300
    problem = replace(problem, inputs=inputs)
    whole = replace(
        problem.select(slice(0, 1)), weights=torch.full((1, 40), 1 / 40, dtype=torch.float64)
    )
    base_theta = solve(whole).theta
    found = solve(problem, base_theta.expand(problem.models, -1))
    assert bool(found.converged.all())
    assert float(norms(problem, found).max()) <= 1e-9
    cold = solve(problem.select(slice(0, 1)))
    torch.testing.assert_close(found.theta[:1], cold.theta, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize(("limit", "moments"), [(0, 6), (7, 6), (13, 6), (17, 6), (17, 5)])
@pytest.mark.parametrize("task", ["classification", "regression"])
def test_without_room_for_the_factor_the_optimum_is_the_same(
    task: str, limit: int, moments: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    decay = torch.tensor([0.02] * 15 + [0.0] * 3)
    problem = stack(task, decay=decay)
    exact = solve(problem)
    monkeypatch.setattr(base, "FACTOR_LIMIT", limit)
    monkeypatch.setattr(base, "LEADING", limit)
    monkeypatch.setattr(base, "MOMENTS_LIMIT", moments)
    found = solve(problem)
    assert bool(found.converged.all())
    assert float(norms(problem, found).max()) <= 1e-8
    here, there = (problem.evaluate(one.theta).objective for one in (found, exact))
    torch.testing.assert_close(here, there, rtol=0, atol=1e-14)


def test_penalties_make_groups_of_their_own() -> None:
    strengths = torch.tensor([[0.01], [0.3], [0.01], [0.3], [2.0], [0.01]], dtype=torch.float64)
    problem = replace(stack(), decay=strengths)
    found = solve(problem)
    for k in range(problem.models):
        alone = solve(problem.select(slice(k, k + 1)))
        torch.testing.assert_close(found.theta[k], alone.theta[0], rtol=0, atol=1e-7)


def test_chunks_of_a_group_share_its_factor(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = stack(models=7)
    whole = solve(problem)
    monkeypatch.setattr(base, "STACK_BYTES", 1)
    torch.testing.assert_close(solve(problem).theta, whole.theta, rtol=0, atol=1e-8)


def test_every_model_has_a_tolerance_and_a_limit_of_its_own() -> None:
    problem = stack(models=3)
    start = zeros(problem)
    tolerance, limits = start.new_tensor([1e-2, 1e-9, 1e-9]), torch.tensor([100, 100, 1])
    found = optima(problem, start, tolerance, limits)
    assert found.converged.tolist() == [True, True, False]
    assert int(found.steps[0]) < int(found.steps[1])
    assert int(found.steps[2]) == 1
    assert float(found.grad_norm[2]) > 1e-9


def test_a_start_at_the_optimum_takes_no_step() -> None:
    problem = stack()
    there = solve(problem).theta
    again = solve(problem, there, 1e-9)
    assert again.steps.tolist() == [0] * problem.models
    assert torch.equal(again.theta, there)


def test_without_a_penalty_a_common_shift_is_left_where_it_started() -> None:
    problem = stack(decay=0.0, n=200)
    start = zeros(problem) + 1.5
    found = solve(problem, start)
    assert bool(found.converged.all())
    shift = problem.layout.unflatten(found.theta)["1.bias"].mean(dim=1)
    torch.testing.assert_close(shift, torch.full_like(shift, 1.5), rtol=0, atol=1e-3)


@pytest.mark.parametrize("classes", [2, 3])
def test_separable_classes_without_a_penalty_have_no_optimum_to_converge_to(classes: int) -> None:
    """With three classes one can be told from the others, which cannot be told apart."""
    problem = stack(outputs=classes, decay=0.0, models=2, n=60)
    inputs = problem.inputs.clone()
    inputs[:, 0] = torch.where(problem.targets == 0, -1.0, 1.0) * (1 + inputs[:, 0].abs())
    problem = replace(problem, inputs=inputs)
    found = solve(problem, steps=40)
    assert found.converged.tolist() == [False, False]
    assert bool(found.finite.all())
    torch.testing.assert_close(found.grad_norm, norms(problem, found), rtol=0, atol=1e-12)
    penalized = replace(problem, decay=problem.decay + 1e-6)
    assert solve(penalized).converged.tolist() == [True, True]


def test_more_features_than_examples_without_a_penalty_fit_least_squares_exactly() -> None:
    problem = stack("regression", n=6, features=10, decay=0.0, models=3)
    found = solve(problem, tolerance=1e-8)
    assert bool(found.converged.all())
    assert float(found.final_loss.max()) < 1e-16


def test_collinear_features_without_a_penalty_converge() -> None:
    problem = stack(n=120, decay=0.0, models=3)
    doubled = torch.cat([problem.inputs, problem.inputs], dim=1)
    network = Linear().network((10,), 3)
    twice = replace(problem, network=network, layout=network.layout, inputs=doubled)
    found = solve(twice, tolerance=1e-8)
    assert bool(found.converged.all())
    single = solve(problem, tolerance=1e-8)
    torch.testing.assert_close(found.final_loss, single.final_loss, rtol=1e-9, atol=0)


def test_a_start_that_is_not_finite_is_said_to_be_so() -> None:
    problem = stack(models=2)
    start = zeros(problem)
    start[0, 0] = torch.nan
    found = solve(problem, start)
    assert found.finite.tolist() == [False, True]
    assert found.converged.tolist() == [False, True]


def test_float32_ends_where_rounding_ends_it() -> None:
    problem = stack(models=3)
    single = replace(
        problem,
        inputs=problem.inputs.float(),
        weights=problem.weights.float(),
        decay=problem.decay.float(),
    )
    found = solve(single, zeros(single), 1e-5)
    assert bool(found.converged.all())
    torch.testing.assert_close(found.theta.double(), solve(problem).theta, rtol=0, atol=1e-3)
    never = solve(single, zeros(single), 1e-20)
    assert not bool(never.converged.any())
    assert int(never.steps.max()) < 100
    assert float(never.grad_norm.max()) < 1e-5


def test_any_other_convex_network_goes_by_automatic_differentiation(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    torch.manual_seed(0)
    pooled = nn.Sequential(nn.Unflatten(1, (1, 6)), nn.Conv1d(1, 3, 4), nn.Flatten())
    problem = stack(features=6, outputs=9, network=Network(pooled), decay=0.02)
    assert not is_affine(problem)
    found = solve(problem)
    assert bool(found.converged.all())
    assert float(norms(problem, found).max()) <= 1e-9
    monkeypatch.setattr(base, "FACTOR_LIMIT", 3)
    other = solve(problem)
    assert bool(other.converged.all())
    torch.testing.assert_close(other.theta, found.theta, rtol=0, atol=1e-7)


def test_a_last_layer_beside_frozen_parameters_is_convex_too() -> None:
    model = MLP(hidden=(4,), activation="tanh")
    network = model.network((5,), 3)
    layout = network.select("last_layer")
    problem = stack(models=4)
    seeds = [model.initial((5,), 3, k % 2, torch.float64) for k in range(4)]
    frozen = {
        name: torch.stack([one[name] for one in seeds])
        for name in network.layout.names
        if name not in layout.names
    }
    whole = replace(problem, network=network, layout=layout, frozen=frozen)
    found = solve(whole)
    assert bool(found.converged.all())
    parts = network.split(layout)
    assert parts is not None
    prefix, suffix = parts
    features = torch.stack([features_of(prefix, one, problem.inputs) for one in seeds])
    head = replace(
        problem,
        network=suffix,
        layout=suffix.layout,
        inputs=features,
        own_inputs=True,
    )
    assert is_affine(head)
    torch.testing.assert_close(solve(head).theta, found.theta, rtol=0, atol=1e-8)


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_the_affine_stack_is_what_automatic_differentiation_says(task: str) -> None:
    problem = stack(task, decay=0.3, models=4)
    affine, general = affine_stack(problem), GeneralStack(problem)
    generator = torch.Generator().manual_seed(3)
    theta, tangent = torch.randn(2, 4, 18, generator=generator, dtype=torch.float64)
    layout = problem.layout
    here, there = affine.evaluate(to_rows(layout, theta)), general.evaluate(theta)
    torch.testing.assert_close(here.objective, there.objective)
    torch.testing.assert_close(from_rows(layout, here.gradient), there.gradient)
    bent = affine.product(here, to_rows(layout, tangent))
    torch.testing.assert_close(from_rows(layout, bent), general.product(there, tangent))
    some = torch.tensor([2, 0])
    part = affine.select(some).product(here.select(some), to_rows(layout, tangent)[some])
    torch.testing.assert_close(part, bent[some])


def test_conjugate_gradients_solve_each_system_to_its_tolerance() -> None:
    generator = torch.Generator().manual_seed(0)
    roots = torch.randn(5, 8, 8, generator=generator, dtype=torch.float64)
    matrices = roots @ roots.transpose(1, 2) + 0.1 * torch.eye(8, dtype=torch.float64)
    rhs = torch.randn(5, 8, generator=generator, dtype=torch.float64)
    tolerance = torch.tensor([1e-1, 1e-3, 1e-6, 1e-9, 1e-9], dtype=torch.float64)

    def product(models: Tensor, tangent: Tensor) -> Tensor:
        return torch.einsum("kij,kj->ki", matrices[models], tangent)

    found, products = conjugate_gradients(product, lambda r: r, rhs, tolerance, 50)
    residual = (torch.einsum("kij,kj->ki", matrices, found) - rhs).norm(dim=1)
    assert bool((residual <= 1.01 * tolerance).all())
    assert products < 5 * 50
