"""Parameters as flat vectors, and the parts of a network."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fragility.models.linear import Linear
from fragility.models.mlp import MLP
from fragility.numerics.evaluate import features_of
from fragility.numerics.network import Layout, Network, ParameterSet, activations, output_shape

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


def test_patterns_select_parameters_by_name() -> None:
    network = MLP(hidden=(4, 3)).network((5,), 2)
    assert network.select(("3.*", "*.bias")).names == ("1.bias", "3.weight", "3.bias", "5.bias")
    assert network.select(("7.*",)).size == 0


@pytest.mark.parametrize("which", ["last_layer", ("3.*",), ("5.bias", "3.weight")])
def test_a_split_network_computes_what_the_whole_does(which: ParameterSet) -> None:
    model = MLP(hidden=(4, 3), activation="tanh")
    network = model.network((5,), 2)
    parameters = model.initial((5,), 2, 0, torch.float64)
    inputs = torch.randn(7, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    parts = network.split(network.select(which))
    assert parts is not None
    prefix, suffix = parts
    features = features_of(prefix, parameters, inputs)
    own = {name: parameters[name] for name in suffix.layout.names}
    torch.testing.assert_close(suffix(own, features), network(parameters, inputs))
    assert output_shape(prefix, (5,)) == features.shape[1:]
    assert set(network.select(which).names) <= set(suffix.layout.names)


def test_a_network_without_a_frozen_prefix_is_not_split() -> None:
    network = MLP(hidden=(4,)).network((5,), 2)
    assert network.split(network.select("all")) is None
    assert network.split(network.select(("1.bias", "3.*"))) is None
    branching = Network(torch.nn.Bilinear(2, 3, 1))
    assert branching.split(branching.layout) is None


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
