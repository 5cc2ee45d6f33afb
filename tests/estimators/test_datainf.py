"""DataInf against the paper's formula written out, and where swapping mean and inverse is exact."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from fragility.errors import MethodFailure
from fragility.estimators.datainf import DataInf, layers
from fragility.estimators.exact import Exact
from fragility.estimators.grad_dot import GradDot
from fragility.numerics.network import Layout
from fragility.numerics.trained import TrainedModel
from tests.estimators.brute_force import both_gradients
from tests.numerics.networks import NETWORKS, example

ALL_TEST = torch.arange(4)
SIZES = {
    "tanh": [24, 12, 12],
    "convolution": [57, 26, 9],
    "pooling": [36, 36, 15],
    "residual": [30, 18],
    "normalized": [24, 8, 15],
}


def copies(model: TrainedModel, n: int) -> TrainedModel:
    """The model with its first training example n times."""
    return replace(
        model, inputs=model.inputs[:1].repeat_interleave(n, 0), targets=model.targets[:1].repeat(n)
    )


@pytest.mark.parametrize("name", SIZES)
def test_the_equation_of_the_paper(name: str) -> None:
    model = example(name)
    test, train = both_gradients(model)
    n = model.n
    wanted = torch.zeros(4, n, dtype=torch.float64)
    sizes = SIZES[name]
    for G, g in zip(train.split(sizes, dim=1), test.split(sizes, dim=1), strict=True):
        lam = 0.1 * G.square().sum() / (n * G.shape[1])
        for t in range(4):
            for k in range(n):
                terms = [g[t] @ G[k] - (g[t] @ G[i]) * (G[i] @ G[k]) / (lam + G[i] @ G[i])
                         for i in range(n)]  # fmt: skip
                wanted[t, k] += sum(terms) / (n * lam) / n
    found = DataInf(curvature_includes_regularization=False).estimate(model, ALL_TEST)
    torch.testing.assert_close(found.scores, wanted, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("task", ["classification", "regression"])
@pytest.mark.parametrize("name", NETWORKS)
def test_the_mean_of_inverses_written_out(name: str, task: str) -> None:
    """With the penalty, whose strength differs from parameter to parameter."""
    model = example(name, task)
    layout = model.network.layout
    test, train = both_gradients(model)
    wanted = torch.zeros(4, model.n, dtype=torch.float64)
    for layer in layers(layout):
        place = layer.place
        G, shift = train[:, place], 0.2 + model.decay_vector(layout)[place]
        matrices = G.unsqueeze(2) * G.unsqueeze(1) + torch.diag(shift)
        wanted += test[:, place] @ torch.linalg.inv(matrices).mean(dim=0) @ G.T / model.n
    found = DataInf(damping=0.2).estimate(model, ALL_TEST)
    torch.testing.assert_close(found.scores, wanted, rtol=1e-8, atol=1e-11)
    assert found.diagnostics["damping_smallest"] == pytest.approx(0.2)


@pytest.mark.parametrize("n", [1, 7])
@pytest.mark.parametrize("name", ["tanh", "convolution"])
def test_one_example_is_exact_however_often_it_occurs(name: str, n: int) -> None:
    """The mean of one matrix is that matrix: the empirical Fisher influence of each layer."""
    model = copies(example(name), n)
    found = DataInf(damping=0.05).estimate(model, ALL_TEST).scores
    wanted = torch.zeros_like(found)
    for layer in layers(model.network.layout):
        exact = Exact(curvature="empirical_fisher", damping=0.05, parameters=layer.layout.names)
        wanted += exact.estimate(model, ALL_TEST).scores
    torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-12)


def test_strong_damping_leaves_products_of_gradients() -> None:
    model = example("pooling")
    found = DataInf(damping=1e9).estimate(model, ALL_TEST).scores
    plain = GradDot().estimate(model, ALL_TEST).scores
    torch.testing.assert_close(found * 1e9, plain, rtol=1e-6, atol=0)


def test_small_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    model = example("convolution")
    whole = DataInf().estimate(model, ALL_TEST).scores
    monkeypatch.setattr("fragility.numerics.gradients.BLOCK_BYTES", 1)
    torch.testing.assert_close(
        DataInf().estimate(model, ALL_TEST).scores, whole, rtol=1e-10, atol=1e-13
    )


def test_parameters_of_one_module_are_one_layer() -> None:
    names = ("0.weight", "0.bias", "block.inner.weight", "scale")
    layout = Layout(names, tuple(torch.Size(s) for s in [(3, 2), (3,), (4, 4), (5,)]))
    found = [(layer.name, layer.place, layer.layout.names) for layer in layers(layout)]
    assert found == [
        ("0", slice(0, 9), names[:2]),
        ("block.inner", slice(9, 25), names[2:3]),
        ("", slice(25, 30), names[3:]),
    ]


def test_no_damping_at_all_is_a_failure() -> None:
    model = example("tanh")  # Its first weight has no penalty.
    with pytest.raises(MethodFailure, match="layer `1` has neither damping nor weight decay"):
        DataInf(damping=0).estimate(model, ALL_TEST)
    met = example("tanh", "regression")
    met = replace(met, targets=met.network(met.parameters, met.inputs).detach())
    with pytest.raises(MethodFailure, match="Give a number above 0 as `damping`"):
        DataInf(curvature_includes_regularization=False).estimate(met, ALL_TEST)
