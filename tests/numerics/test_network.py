"""Parameters as flat vectors, and the parts of a network."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fragility.models.linear import Linear
from fragility.models.mlp import MLP
from fragility.numerics.network import Layout, activations

shapes = st.lists(st.lists(st.integers(1, 4), max_size=3).map(tuple), min_size=1, max_size=4)


@given(shapes=shapes, lead=st.lists(st.integers(1, 3), max_size=2))
def test_flat_vectors_and_named_parameters_are_the_same_numbers(
    shapes: list[tuple[int, ...]], lead: list[int]
) -> None:
    layout = Layout(tuple(f"p{i}" for i in range(len(shapes))), tuple(map(torch.Size, shapes)))
    flat = torch.arange(layout.size * int(torch.Size(lead).numel())).reshape(*lead, layout.size)
    named = layout.unflatten(flat)
    assert {name: tuple(value.shape) for name, value in named.items()} == {
        name: (*lead, *shape) for name, shape in zip(layout.names, shapes, strict=True)
    }
    assert torch.equal(layout.flatten(named), flat)


def test_parts_of_a_network() -> None:
    network = MLP(hidden=(4, 3)).network((5,), 2)
    assert network.layout.size == 5 * 4 + 4 + 4 * 3 + 3 + 3 * 2 + 2
    assert network.select("all") == network.layout
    assert network.select("last_layer").names == ("5.weight", "5.bias")
    assert network.select("last_layer").size == 3 * 2 + 2
    assert network.select("last_layer_weight").names == ("5.weight",)
    assert network.layout.restrict(["5.bias", "1.weight"]).names == ("1.weight", "5.bias")
    linear = Linear().network((2, 3), 4)
    assert linear.select("last_layer") == linear.layout


@pytest.mark.parametrize("hidden", [(4,), (4, 3)])
def test_a_network_computes_what_its_module_does(hidden: tuple[int, ...]) -> None:
    model = MLP(hidden=hidden, activation="tanh")
    network = model.network((5,), 2)
    parameters = model.initial((5,), 2, 0, torch.float64)
    inputs = torch.randn(7, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    values = list(parameters.values())
    expected = inputs
    for weight, bias in zip(values[0:-2:2], values[1:-2:2], strict=True):
        expected = torch.tanh(expected @ weight.T + bias)
    torch.testing.assert_close(network(parameters, inputs), expected @ values[-2].T + values[-1])


def test_activations_are_counted_layer_by_layer() -> None:
    # Flatten 5, affine 4, activation 4, affine 2.
    assert activations(MLP(hidden=(4,)).network((5,), 2), (5,)) == 5 + 4 + 4 + 2
    assert activations(Linear().network((2, 3), 4), (2, 3)) == 6 + 4
