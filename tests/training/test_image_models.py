"""Networks for images in the engine: training, retraining and scores against torch by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from fragility.estimators.cg import CG
from fragility.estimators.ekfac import EKFAC
from fragility.estimators.exact import Exact
from fragility.identity import derive_seed
from fragility.models.base import Model
from fragility.models.lenet import LeNet
from fragility.models.small_cnn import SmallCNN
from fragility.numerics import evaluate, stack
from fragility.numerics.kronecker import kronecker_curvature
from fragility.numerics.losses import loss_for
from fragility.numerics.network import ParameterSet
from fragility.numerics.stack import Anchor, StackProblem, differentiated
from fragility.numerics.trained import TrainedModel
from fragility.training import Recorder, Start
from fragility.training.minibatch import Minibatch
from tests.numerics.networks import autograd_gradients, autograd_hessian, autograd_jacobian

MODELS: dict[str, tuple[Model, tuple[int, ...]]] = {
    "lenet": (LeNet(width=0.15, padding=0), (1, 16, 16)),
    "max": (LeNet(width=0.15, padding=0, pooling="max", activation="relu"), (2, 17, 16)),
    "small_cnn": (SmallCNN(width=2), (1, 21, 21)),
}
N, CLASSES, BATCH, EPOCHS = 12, 3, 5, 10


def examples(
    shape: tuple[int, ...], task: str = "classification"
) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(4)
    inputs = torch.randn(N, *shape, generator=generator, dtype=torch.float64)
    if task == "regression":
        return inputs, torch.randn(N, CLASSES, generator=generator, dtype=torch.float64)
    return inputs, torch.randint(0, CLASSES, (N,), generator=generator)


def stacked(name: str, count: int) -> tuple[StackProblem, torch.Tensor]:
    """Models without one example each, from initial values of their own."""
    model, shape = MODELS[name]
    network = model.network(shape, CLASSES)
    weights = torch.full((count, N), 1 / N, dtype=torch.float64)
    weights.fill_diagonal_(0)
    decay = torch.linspace(0.01, 0.1, count, dtype=torch.float64).unsqueeze(1)
    problem = StackProblem(
        network, loss_for("classification"), network.layout, {}, *examples(shape), weights, decay
    )
    initial = [model.initial(shape, CLASSES, k, torch.float64) for k in range(count)]
    return problem, torch.stack([network.layout.flatten(values) for values in initial])


def by_hand(
    name: str, theta: torch.Tensor, weights: torch.Tensor, decay: float, order: int
) -> torch.Tensor:
    """Returns where torch.nn and torch.optim take one model of the architecture."""
    model, shape = MODELS[name]
    module = model.build(shape, CLASSES).double()
    torch.nn.utils.vector_to_parameters(theta.clone(), module.parameters())
    optimizer = torch.optim.Adam(module.parameters(), lr=0.01, weight_decay=decay)
    inputs, targets = examples(shape)
    for epoch in range(EPOCHS):
        generator = torch.Generator().manual_seed(derive_seed(order, "epoch", epoch))
        for rows in torch.randperm(N, generator=generator).split(BATCH):
            optimizer.zero_grad()
            losses = torch.nn.functional.cross_entropy(
                module(inputs[rows]), targets[rows], reduction="none"
            )
            (N * weights[rows] * losses).sum().div(len(rows)).backward()
            optimizer.step()
    return torch.nn.utils.parameters_to_vector(module.parameters()).detach()


@pytest.mark.parametrize(
    "orders", [[7], [7, 7, 7], [7, 8, 9]], ids=["alone", "shared", "independent"]
)
@pytest.mark.parametrize("name", MODELS)
def test_a_stack_of_retrainings_equals_plain_torch_loops(name: str, orders: list[int]) -> None:
    problem, theta = stacked(name, len(orders))
    training = Minibatch.model_validate(
        {"kind": "minibatch", "batch_size": BATCH, "epochs": EPOCHS, "dtype": "float64",
         "optimizer": {"kind": "adam", "learning_rate": 0.01}}
    )  # fmt: skip
    start = Start(theta, orders=orders)
    found = training.fit([training] * len(orders), problem, start, Recorder()).theta
    for k, order in enumerate(orders):
        expected = by_hand(name, theta[k], problem.weights[k], float(problem.decay[k]), order)
        assert float((expected - theta[k]).norm()) > 0.1
        torch.testing.assert_close(found[k], expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("own_inputs", [False, True])
@pytest.mark.parametrize("name", MODELS)
def test_passes_over_some_of_the_examples_add_up(
    name: str, own_inputs: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    problem, theta = stacked(name, 2)
    tilt = torch.randn(1, N, CLASSES, generator=torch.Generator().manual_seed(0)).double()
    anchor = Anchor(theta + 0.1, torch.ones_like(theta), tilt, torch.zeros(2, dtype=torch.int64))
    problem = replace(problem, anchor=anchor)
    if own_inputs:
        inputs = torch.stack([problem.inputs, problem.inputs.flip(0)])
        problem = replace(problem, inputs=inputs, own_inputs=True)
    whole = problem.evaluate(theta)
    monkeypatch.setattr(stack, "BLOCK_BYTES", 1)
    monkeypatch.setattr(stack, "PASS_EXAMPLES", 5)
    seen: list[torch.Size] = []

    def noted(part: StackProblem, at: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        seen.append(part.weights.shape)
        return differentiated(part, at)

    monkeypatch.setattr(stack, "differentiated", noted)
    parts = problem.evaluate(theta)
    assert seen == [(1, 5), (1, 5), (1, 2)] * 2
    for name in ("objective", "data_loss", "gradient"):
        torch.testing.assert_close(
            getattr(parts, name), getattr(whole, name), rtol=1e-12, atol=1e-13
        )


@pytest.mark.parametrize("name", MODELS)
def test_losses_follow_from_the_parameters_wherever_a_model_stands(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    problem, theta = stacked(name, 4)
    at = (problem.inputs, problem.targets)
    same = theta[:1].expand(5, -1).clone()
    found = [
        evaluate.evaluate(problem.network, problem.loss, problem.layout.unflatten(one), *at)
        for one in (theta[0], *same)
    ]
    assert all(torch.equal(losses, found[0][0]) for losses, _ in found)
    monkeypatch.setattr(evaluate, "IMAGE_BLOCK_BYTES", 1)
    monkeypatch.setattr(evaluate, "_FEWEST_IMAGES", 5)
    parameters = problem.layout.unflatten(theta[0])
    in_blocks, _ = evaluate.evaluate(problem.network, problem.loss, parameters, *at)
    torch.testing.assert_close(in_blocks, found[0][0], rtol=1e-12, atol=1e-13)


def trained(name: str, task: str = "classification") -> TrainedModel:
    """A network at its initial values, which its estimators may take for trained ones."""
    model, shape = MODELS[name]
    network = model.network(shape, CLASSES)
    inputs, targets = examples(shape, task)
    return TrainedModel(
        network=network,
        loss=loss_for(task),
        test_loss=loss_for(task),
        decay=dict.fromkeys(network.layout.names, 0.05),
        parameters=model.initial(shape, CLASSES, 1, torch.float64),
        inputs=inputs[:9],
        targets=targets[:9],
        test_inputs=inputs[9:],
        test_targets=targets[9:],
    )


def by_autograd(model: TrainedModel, which: ParameterSet, damping: float) -> torch.Tensor:
    """Returns (1/n) g_t^T (H + damping I)^-1 g_i from torch's own derivatives."""
    layout = model.network.layout
    kept = torch.cat(
        [torch.full((size,), name in model.network.select(which).names)
         for name, size in zip(layout.names, layout.sizes, strict=True)]
    )  # fmt: skip
    hessian = autograd_hessian(model)[kept][:, kept]
    hessian.diagonal().add_(0.05 + damping)
    on_test = replace(model, inputs=model.test_inputs, targets=model.test_targets)
    test, train = (autograd_gradients(m)[:, kept] for m in (on_test, model))
    return test @ torch.linalg.solve(hessian, train.T) / model.n


ALL_TEST = torch.arange(3)


@pytest.mark.parametrize("which", ["last_layer", "all"])
@pytest.mark.parametrize("name", MODELS)
def test_exact_and_cg_agree_with_autograd_written_out(name: str, which: ParameterSet) -> None:
    model = trained(name)
    # Far from an optimum the Hessian of all parameters is indefinite: damped until it is not.
    damping = 0.01 if which == "last_layer" else 1.0
    expected = by_autograd(model, which, damping)
    exact = Exact(parameters=which, damping=damping).estimate(model, ALL_TEST).scores
    torch.testing.assert_close(exact, expected, rtol=1e-8, atol=1e-12)
    cg = CG(parameters=which, damping=damping, tolerance=1e-11).estimate(model, ALL_TEST).scores
    torch.testing.assert_close(cg, expected, rtol=1e-7, atol=1e-11)


@pytest.mark.parametrize("name", MODELS)
def test_kronecker_factors_are_exact_for_a_last_layer_of_least_squares(name: str) -> None:
    model = trained(name, "regression")
    exact = Exact(parameters="last_layer", damping=0.01).estimate(model, ALL_TEST).scores
    ekfac = EKFAC(parameters="last_layer", damping=0.01).estimate(model, ALL_TEST).scores
    torch.testing.assert_close(ekfac, exact, rtol=1e-8, atol=1e-11)


@pytest.mark.parametrize("name", MODELS)
def test_corrected_kronecker_factors_keep_the_trace_of_every_layer(name: str) -> None:
    """Eigenvalues sum to the trace of the layer's Gauss-Newton block, by torch's Jacobian."""
    model = trained(name)
    layout = model.network.layout
    jacobian = autograd_jacobian(model)
    curvature = model.loss.output_curvature(model.network(model.parameters, model.inputs))
    diagonal = torch.einsum("nip,nij,njp->p", jacobian, curvature, jacobian) / model.n
    named = layout.unflatten(diagonal)
    layers = kronecker_curvature(model, layout, "expected", 0, corrected=True).layers
    assert len(layers) == len(layout.names) // 2
    for layer in layers:
        trace = named[f"{layer.name}.weight"].sum() + named[f"{layer.name}.bias"].sum()
        assert float(layer.values.sum()) == pytest.approx(float(trace), rel=1e-10)
