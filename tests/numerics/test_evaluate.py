"""Losses follow from the parameters alone, wherever they lie in memory."""

from __future__ import annotations

import pytest
import torch

from fragility.models.base import Model
from fragility.models.lenet import LeNet
from fragility.models.mlp import MLP
from fragility.numerics.evaluate import Halfway, evaluate
from fragility.numerics.losses import CROSS_ENTROPY, SQUARED_ERROR, accuracy


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("width", [1, 3, 8, 17, 40])
@pytest.mark.parametrize("features", [3, 13, 30, 64])
def test_a_model_has_the_same_losses_wherever_in_a_stack_it_stands(
    features: int, width: int, dtype: torch.dtype
) -> None:
    model = MLP(hidden=(width,), activation="tanh")
    network = model.network((features,), 3)
    layout = network.layout
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(50, features, generator=generator, dtype=dtype)
    targets = torch.randint(0, 3, (50,), generator=generator)
    parameters = model.initial((features,), 3, 0, dtype)
    alone, outputs = evaluate(network, CROSS_ENTROPY, parameters, inputs, targets)
    stack = layout.flatten(parameters).expand(6, -1).clone()
    for theta in stack:
        losses, _ = evaluate(network, CROSS_ENTROPY, layout.unflatten(theta), inputs, targets)
        assert torch.equal(losses, alone)
    expected = torch.nn.functional.cross_entropy(outputs.double(), targets, reduction="none")
    torch.testing.assert_close(alone, expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("which", ["last_layer", "last_layer_weight"])
@pytest.mark.parametrize(
    ("model", "shape"),
    [(LeNet(), (1, 32, 32)), (MLP(hidden=(17, 9), activation="tanh"), (13,))],
    ids=["lenet", "mlp"],
)
def test_from_halfway_losses_have_the_bits_of_the_whole_network(
    model: Model, shape: tuple[int, ...], which: str, dtype: torch.dtype
) -> None:
    network = model.network(shape, 3)
    layout = network.select("last_layer" if which == "last_layer" else "last_layer_weight")
    parts = network.split(layout)
    assert parts is not None
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(150, *shape, generator=generator, dtype=dtype)
    targets = torch.randint(0, 3, (150,), generator=generator)
    base = model.initial(shape, 3, 0, dtype)
    halfway = Halfway.of(network, parts, base, inputs)
    start = layout.flatten(base)
    stack = start + 0.1 * torch.randn(3, layout.size, generator=generator, dtype=dtype)
    for theta in (start, *stack):
        retrained = {**base, **layout.unflatten(theta)}
        losses, outputs = halfway.evaluate(CROSS_ENTROPY, retrained, targets)
        whole, predicted = evaluate(network, CROSS_ENTROPY, retrained, inputs, targets)
        assert torch.equal(losses, whole)
        assert torch.equal(outputs, predicted)
    assert not torch.equal(losses, evaluate(network, CROSS_ENTROPY, base, inputs, targets)[0])


def test_squared_error_has_no_half() -> None:
    outputs, targets = (
        torch.tensor([[1.0, 2.0], [0.0, 0.0]]),
        torch.tensor([[3.0, 2.0], [1.0, 2.0]]),
    )
    assert SQUARED_ERROR.per_example(outputs, targets).tolist() == [4.0, 5.0]


@pytest.mark.parametrize("loss", [CROSS_ENTROPY, SQUARED_ERROR], ids=lambda loss: loss.name)
def test_the_curvature_of_a_loss_is_its_hessian(loss: object) -> None:
    generator = torch.Generator().manual_seed(0)
    outputs = torch.randn(4, 3, generator=generator, dtype=torch.float64)
    targets = (
        torch.randint(0, 3, (4,), generator=generator)
        if loss is CROSS_ENTROPY
        else torch.randn(4, 3, generator=generator, dtype=torch.float64)
    )
    found = loss.output_curvature(outputs)  # type: ignore[attr-defined]
    for i in range(4):
        expected = torch.autograd.functional.hessian(
            lambda one, i=i: loss.per_example(one[None], targets[i : i + 1]).sum(),  # type: ignore[attr-defined]
            outputs[i],
        )
        torch.testing.assert_close(found[i], expected)


def test_accuracy_is_of_classes_only() -> None:
    outputs = torch.tensor([[0.1, 0.9], [0.8, 0.2], [0.3, 0.7]])
    assert accuracy(outputs, torch.tensor([1, 1, 1]), "classification") == pytest.approx(2 / 3)
    assert accuracy(outputs, outputs, "regression") is None
