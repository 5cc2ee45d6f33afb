"""Every optimizer and schedule against torch's own, and every stack against its models alone."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fragility.models.mlp import MLP
from fragility.numerics.losses import CROSS_ENTROPY
from fragility.numerics.stack import StackProblem
from fragility.training import Recorder, Start
from fragility.training.full_batch import FullBatch

CLASSES = 3
SHAPE = (4,)


def examples(seed: int, n: int = 30) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(n, *SHAPE, generator=generator, dtype=torch.float64)
    return inputs, torch.randint(0, CLASSES, (n,), generator=generator)


def problem(model: MLP, weights: torch.Tensor, decay: torch.Tensor, seed: int = 0) -> StackProblem:
    network = model.network(SHAPE, CLASSES)
    inputs, targets = examples(seed, weights.shape[1])
    return StackProblem(network, CROSS_ENTROPY, network.layout, {}, inputs, targets, weights, decay)


def start(model: MLP, count: int) -> torch.Tensor:
    layout = model.network(SHAPE, CLASSES).layout
    return torch.stack(
        [layout.flatten(model.initial(SHAPE, CLASSES, k, torch.float64)) for k in range(count)]
    )


def torch_training(
    model: MLP,
    theta: torch.Tensor,
    weights: torch.Tensor,
    decay: float,
    optimizer: object,
    steps: int,
    patience: int | None = None,
) -> torch.Tensor:
    """A plain loop with torch.nn and torch.optim, nothing of ours but the architecture."""
    module = model.build(SHAPE, CLASSES).double()
    torch.nn.utils.vector_to_parameters(theta.clone(), module.parameters())
    stepper = optimizer(module.parameters(), decay)  # type: ignore[operator]
    scheduler = (
        torch.optim.lr_scheduler.ReduceLROnPlateau(stepper, patience=patience)
        if patience is not None
        else None
    )
    inputs, targets = examples(0, len(weights))
    for _ in range(steps):
        stepper.zero_grad()
        losses = torch.nn.functional.cross_entropy(module(inputs), targets, reduction="none")
        loss = (weights * losses).sum()
        loss.backward()
        stepper.step()
        if scheduler is not None:
            scheduler.step(loss.item())
    return torch.nn.utils.parameters_to_vector(module.parameters()).detach()


OPTIMIZERS = {
    "adam": (
        {"kind": "adam", "learning_rate": 0.01},
        lambda p, d: torch.optim.Adam(p, lr=0.01, weight_decay=d),
    ),
    "amsgrad": (
        {"kind": "adam", "learning_rate": 0.02, "betas": [0.8, 0.99], "amsgrad": True},
        lambda p, d: torch.optim.Adam(p, lr=0.02, betas=(0.8, 0.99), amsgrad=True, weight_decay=d),
    ),
    "sgd": (
        {"kind": "sgd", "learning_rate": 0.1},
        lambda p, d: torch.optim.SGD(p, lr=0.1, weight_decay=d),
    ),
    "momentum": (
        {"kind": "sgd", "learning_rate": 0.05, "momentum": 0.9},
        lambda p, d: torch.optim.SGD(p, lr=0.05, momentum=0.9, weight_decay=d),
    ),
    "nesterov": (
        {"kind": "sgd", "learning_rate": 0.05, "momentum": 0.9, "nesterov": True},
        lambda p, d: torch.optim.SGD(p, lr=0.05, momentum=0.9, nesterov=True, weight_decay=d),
    ),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_fused_model_equals_a_plain_torch_loop_over_200_steps(name: str) -> None:
    ours, theirs = OPTIMIZERS[name]
    model = MLP(hidden=(5,), activation="tanh")
    n, count = 30, 4
    weights = torch.full((count, n), 1 / (n - 1), dtype=torch.float64)
    weights[torch.arange(count), torch.arange(count)] = 0
    decays = torch.tensor([[0.0], [0.005], [0.1], [0.02]], dtype=torch.float64)
    training = FullBatch.model_validate(
        {"kind": "full_batch", "steps": 200, "dtype": "float64", "optimizer": ours}
    )
    theta = start(model, count)
    fit = training.fit(
        [training] * count, problem(model, weights, decays), Start(theta), Recorder()
    )
    for k in range(count):
        alone = torch_training(model, theta[k], weights[k], float(decays[k]), theirs, 200)
        torch.testing.assert_close(fit.theta[k], alone, rtol=0, atol=1e-9)


def test_plateau_cuts_the_rate_where_torch_does() -> None:
    model = MLP(hidden=(4,), activation="tanh")
    training = FullBatch.model_validate(
        {
            "kind": "full_batch",
            "steps": 400,
            "dtype": "float64",
            "optimizer": {"kind": "adam", "learning_rate": 0.1},
            "schedule": {"kind": "plateau", "patience": 5},
        }
    )
    weights = torch.full((2, 20), 1 / 20, dtype=torch.float64)
    decay = torch.tensor([[0.01], [0.2]], dtype=torch.float64)
    theta = start(model, 2)
    fit = training.fit([training] * 2, problem(model, weights, decay), Start(theta), Recorder())
    for k in range(2):
        alone = torch_training(
            model,
            theta[k],
            weights[k],
            float(decay[k]),
            lambda p, d: torch.optim.Adam(p, lr=0.1, weight_decay=d),
            400,
            patience=5,
        )
        torch.testing.assert_close(fit.theta[k], alone, rtol=0, atol=1e-8)


@settings(max_examples=15, deadline=None)
@given(
    count=st.integers(2, 9),
    optimizer=st.sampled_from(["adam", "sgd", "lbfgs"]),
    steps=st.lists(st.integers(0, 40), min_size=9, max_size=9),
    widths=st.lists(st.integers(1, 6), min_size=1, max_size=2),
)
def test_a_model_in_a_stack_equals_itself_alone(
    count: int, optimizer: str, steps: list[int], widths: list[int]
) -> None:
    model = MLP(hidden=tuple(widths), activation="tanh")
    n = 17
    generator = torch.Generator().manual_seed(count)
    weights = torch.rand(count, n, generator=generator, dtype=torch.float64) / n
    decay = torch.rand(count, 1, generator=generator, dtype=torch.float64) / 10
    stack = [
        FullBatch.model_validate(
            {
                "kind": "full_batch",
                "steps": steps[k],
                "dtype": "float64",
                "gradient_norm": 1e-3,
                "optimizer": {"kind": optimizer, "learning_rate": 0.05 * (k + 1)},
            }
        )
        for k in range(count)
    ]
    theta = start(model, count)
    whole = problem(model, weights, decay)
    fused = stack[0].fit(stack, whole, Start(theta), Recorder())
    for k in range(count):
        alone = stack[k].fit(
            [stack[k]], whole.select(torch.tensor([k])), Start(theta[k : k + 1]), Recorder()
        )
        assert int(fused.steps[k]) == int(alone.steps[0])
        torch.testing.assert_close(fused.theta[k], alone.theta[0], rtol=0, atol=1e-9)


def test_lbfgs_reaches_the_optimum_that_scipy_finds() -> None:
    from scipy.optimize import minimize

    model = MLP(hidden=(3,), activation="tanh")
    weights = torch.full((1, 30), 1 / 30, dtype=torch.float64)
    decay = torch.tensor([[0.1]], dtype=torch.float64)
    training = FullBatch.model_validate(
        {
            "kind": "full_batch",
            "steps": 500,
            "dtype": "float64",
            "gradient_norm": 1e-9,
            "optimizer": {"kind": "lbfgs"},
        }
    )
    whole = problem(model, weights, decay)
    fit = training.fit([training], whole, Start(start(model, 1)), Recorder())
    assert fit.converged == (True,)

    def objective(theta):  # type: ignore[no-untyped-def]
        value = whole.evaluate(torch.from_numpy(theta)[None])
        return float(value.objective), value.gradient[0].numpy()

    found = minimize(
        objective, fit.theta[0].numpy(), jac=True, method="BFGS", options={"gtol": 1e-12}
    )
    assert abs(found.x - fit.theta[0].numpy()).max() < 1e-6


def test_a_diverging_model_is_said_to_diverge_and_leaves_the_others_alone() -> None:
    model = MLP(hidden=(3,), activation="relu")
    stack = [
        FullBatch.model_validate(
            {
                "kind": "full_batch",
                "steps": 200,
                "dtype": "float64",
                "optimizer": {"kind": "sgd", "learning_rate": rate},
            }
        )
        for rate in (0.05, 1e6)
    ]
    weights = torch.full((2, 30), 1 / 30, dtype=torch.float64)
    decay = torch.full((2, 1), 0.1, dtype=torch.float64)
    fit = stack[0].fit(stack, problem(model, weights, decay), Start(start(model, 2)), Recorder())
    assert fit.diverged.tolist() == [False, True]
    assert int(fit.steps[1]) < 200
    assert int(fit.steps[0]) == 200


def test_lbfgs_stops_where_rounding_lets_it_go_no_further() -> None:
    model = MLP(hidden=(3,), activation="tanh")
    training = FullBatch.model_validate(
        {
            "kind": "full_batch",
            "steps": 5000,
            "dtype": "float64",
            "gradient_norm": 1e-30,
            "optimizer": {"kind": "lbfgs"},
        }
    )
    weights = torch.full((2, 30), 1 / 30, dtype=torch.float64)
    decay = torch.full((2, 1), 0.1, dtype=torch.float64)
    fit = training.fit(
        [training] * 2, problem(model, weights, decay), Start(start(model, 2)), Recorder()
    )
    assert fit.converged == (False, False)
    assert int(fit.steps.max()) < 5000
    assert float(fit.grad_norm.max()) < 1e-9
