"""Weighted squares of gradients against torch's own gradients."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from fragility.numerics.network import Network, ParameterSet
from fragility.numerics.squares import square_products
from tests.numerics.networks import NETWORKS, autograd_gradients, example
from tests.numerics.test_curvature import part


def weights(size: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(2)
    return torch.rand(3, size, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("which", ["all", "last_layer_weight", ("*.bias",)])
@pytest.mark.parametrize("name", NETWORKS)
def test_weighted_squares(name: str, which: ParameterSet) -> None:
    """A bias without its weight takes the way of the gradients written out."""
    model = example(name)
    layout = model.network.select(which)
    gradients = autograd_gradients(model)[:, part(model, layout)]
    wanted = weights(layout.size) @ gradients.square().T
    found = square_products(model, layout, weights(layout.size))
    torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-14)


class Twice(nn.Module):
    """One layer applied two times."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(5, 5)
        self.last = nn.Linear(5, 3)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        hidden: torch.Tensor = self.last(self.layer(torch.tanh(self.layer(inputs))))
        return hidden


def test_a_layer_that_is_applied_twice() -> None:
    model = example("tanh")
    generator = torch.Generator().manual_seed(3)
    network = Network(Twice().eval())
    parameters = {
        name: torch.randn(shape, generator=generator, dtype=torch.float64)
        for name, shape in zip(network.layout.names, network.layout.shapes, strict=True)
    }
    model = replace(model, network=network, parameters=parameters)
    layout = network.layout
    wanted = weights(layout.size) @ autograd_gradients(model).square().T
    found = square_products(model, layout, weights(layout.size))
    torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-14)


@pytest.mark.parametrize("name", ["tanh", "convolution"])
def test_small_blocks_and_other_scalars(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = example(name)
    layout = model.network.layout

    def twice(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return 2 * model.loss.per_example(outputs, targets)

    whole = square_products(model, layout, weights(layout.size))
    monkeypatch.setattr("fragility.numerics.gradients.BLOCK_BYTES", 1)
    again = square_products(model, layout, weights(layout.size), twice)
    torch.testing.assert_close(again, 4 * whole, rtol=1e-10, atol=1e-14)
