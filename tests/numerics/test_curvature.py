"""Curvature and per-example gradients against torch's own backward passes, written out."""

from __future__ import annotations

import pytest
import torch

from fragility.numerics import curvature as module
from fragility.numerics.chain import is_differentiable_chain
from fragility.numerics.curvature import Curvature, CurvatureMatrix
from fragility.numerics.gradients import (
    combined_gradients,
    gradient_products,
    per_example_gradients,
)
from fragility.numerics.network import Layout, ParameterSet
from fragility.numerics.trained import TrainedModel
from tests.numerics.networks import (
    DENSE,
    NETWORKS,
    autograd_gradients,
    autograd_hessian,
    autograd_jacobian,
    example,
)

KINDS: tuple[Curvature, ...] = ("hessian", "gauss_newton", "empirical_fisher")
TASKS = ("classification", "regression")
SUBSETS: tuple[ParameterSet, ...] = ("all", "last_layer", "last_layer_weight", ("*.weight",))


def expected(model: TrainedModel, kind: Curvature) -> torch.Tensor:
    if kind == "hessian":
        return autograd_hessian(model)
    if kind == "empirical_fisher":
        gradients = autograd_gradients(model)
        return gradients.T @ gradients / model.n
    J = autograd_jacobian(model)
    outputs = model.network(model.parameters, model.inputs)
    L = model.loss.output_curvature(outputs)
    return torch.einsum("nip,nij,njq->pq", J, L, J) / model.n


def part(model: TrainedModel, layout: Layout) -> torch.Tensor:
    """The places of a layout's parameters among all."""
    whole = model.network.layout
    places = whole.unflatten(torch.arange(whole.size))
    return torch.cat([places[name].flatten() for name in layout.names])


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", NETWORKS)
def test_products_and_the_matrix_itself(name: str, kind: Curvature, task: str) -> None:
    model = example(name, task)
    layout = model.network.layout
    matrix = CurvatureMatrix(model, layout, kind)
    wanted = expected(model, kind) + torch.diag(model.decay_vector(layout))
    torch.testing.assert_close(matrix.dense(), wanted, rtol=1e-9, atol=1e-12)
    vectors = torch.randn(
        3, layout.size, generator=torch.Generator().manual_seed(2), dtype=torch.float64
    )
    torch.testing.assert_close(matrix.product(vectors), vectors @ wanted, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("which", SUBSETS)
@pytest.mark.parametrize("name", ["tanh", "convolution", "residual"])
def test_some_of_the_parameters(name: str, which: ParameterSet, kind: Curvature) -> None:
    model = example(name)
    layout = model.network.select(which)
    places = part(model, layout)
    wanted = expected(model, kind)[places][:, places]
    matrix = CurvatureMatrix(model, layout, kind, includes_regularization=False)
    torch.testing.assert_close(matrix.dense(), wanted, rtol=1e-9, atol=1e-12)
    vectors = torch.randn(
        3, layout.size, generator=torch.Generator().manual_seed(2), dtype=torch.float64
    )
    torch.testing.assert_close(matrix.product(vectors), vectors @ wanted, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", NETWORKS)
def test_blocks_change_nothing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = example(name)
    layout = model.network.layout
    vectors = torch.randn(
        3, layout.size, generator=torch.Generator().manual_seed(2), dtype=torch.float64
    )
    matrix = CurvatureMatrix(model, layout)
    whole = matrix.product(vectors), matrix.dense(), gradient_products(model, layout, vectors)
    monkeypatch.setattr("fragility.numerics.gradients.BLOCK_BYTES", 1)
    monkeypatch.setattr(module, "TILE_BYTES", 1)
    again = matrix.product(vectors), matrix.dense(), gradient_products(model, layout, vectors)
    for one, other in zip(whole, again, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("name", NETWORKS)
def test_gradients_of_single_examples_and_their_products(name: str) -> None:
    model = example(name)
    layout = model.network.layout
    wanted = autograd_gradients(model)
    found = per_example_gradients(model, layout, model.inputs, model.targets)
    torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-12)
    vectors = torch.randn(
        3, layout.size, generator=torch.Generator().manual_seed(2), dtype=torch.float64
    )
    products = gradient_products(model, layout, vectors)
    torch.testing.assert_close(products, vectors @ wanted.T, rtol=1e-9, atol=1e-12)
    weights = vectors[:, : model.n]
    combined = combined_gradients(model, layout, weights)
    torch.testing.assert_close(combined, weights @ wanted, rtol=1e-9, atol=1e-12)
    mean = wanted.mean(dim=0) + model.decay_vector(layout) * model.vector(layout)
    torch.testing.assert_close(model.mean_gradient(layout), mean, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["tanh", "pooling", "residual"])
def test_the_mean_eigenvalue_is_that_of_the_positive_part(name: str, kind: Curvature) -> None:
    model = example(name)
    positive: Curvature = "gauss_newton" if kind == "hessian" else kind
    wanted = float(expected(model, positive).diagonal().mean())
    matrix = CurvatureMatrix(model, model.network.layout, kind)
    assert matrix.mean_eigenvalue == pytest.approx(wanted, rel=1e-9)


def test_which_networks_are_chains() -> None:
    chains = {name for name in NETWORKS if is_differentiable_chain(example(name).network)}
    assert chains == {*DENSE, "convolution", "pooling"}
