"""Architectures and their initial values."""

from __future__ import annotations

from math import sqrt

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from fragility.models.base import Model
from fragility.models.linear import Linear
from fragility.models.mlp import MLP


def test_widths_are_the_same_however_they_are_written() -> None:
    ways = [MLP(hidden=(5, 5, 5)), MLP(width=5, depth=3), MLP(hidden=(5,), depth=3)]
    assert {model.widths for model in ways} == {(5, 5, 5)}
    assert all(model.identity() == ways[0].identity() for model in ways)
    assert MLP(hidden=(5,), activation="tanh").identity() != MLP(hidden=(5,)).identity()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "give `hidden: "),
        ({"width": 3}, "or both `width` and `depth`"),
        ({"depth": 3}, "or both `width` and `depth`"),
        ({"hidden": [3], "width": 3}, "not both"),
        ({"hidden": [3, 4], "depth": 2}, "widths are all equal"),
        ({"hidden": []}, "at least 1 item"),
        ({"hidden": [0]}, "greater than 0"),
    ],
)
def test_widths_that_contradict_each_other_are_refused(
    fields: dict[str, object], message: str
) -> None:
    with pytest.raises(ValidationError, match=message):
        MLP.model_validate({"kind": "mlp", **fields})


@pytest.mark.parametrize("model", [Linear(), MLP(hidden=(4,))], ids=lambda model: model.kind)
def test_initial_values_follow_from_the_seed(model: Model) -> None:
    def values(seed: int, dtype: torch.dtype = torch.float64) -> np.ndarray:
        parameters = model.initial((6,), 3, seed, dtype)
        return torch.cat([value.ravel() for value in parameters.values()]).numpy()

    torch.manual_seed(0)
    state = torch.get_rng_state()
    first = values(1)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(99)
    np.testing.assert_array_equal(values(1), first)
    assert not np.array_equal(values(2), first)
    np.testing.assert_array_equal(values(1, torch.float32).astype(np.float64), first)


@pytest.mark.parametrize("model", [Linear(), MLP(hidden=(4,))], ids=lambda model: model.kind)
def test_networks_are_made_once_and_leave_random_states_alone(model: Model) -> None:
    state = torch.get_rng_state()
    assert model.network((9,), 2) is model.network((9,), 2)
    assert torch.equal(torch.get_rng_state(), state)


def test_torch_initialization_is_uniform_in_the_fan_in() -> None:
    parameters = MLP(hidden=(200,)).initial((25,), 3, 0, torch.float32)
    weight, bias = parameters["1.weight"], parameters["1.bias"]
    bound = 1 / sqrt(25)
    for values in (weight, bias):
        assert float(values.abs().max()) <= bound
        assert float(values.std()) == pytest.approx(bound / sqrt(3), rel=0.1)


def test_a_torch_seed_gives_the_values_of_a_script_that_sets_it_and_makes_its_layers() -> None:
    fields = {"width": 5, "depth": 2, "initialization": {"torch_seed": 14}}
    model = MLP.model_validate({"kind": "mlp", **fields})
    assert model.first_seed == 14
    found = model.initial((4,), 3, model.first_seed, torch.float32)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(14)
        layers = [torch.nn.Linear(4, 5), torch.nn.Linear(5, 5), torch.nn.Linear(5, 3)]
    theirs = [value for layer in layers for value in (layer.weight, layer.bias)]
    assert len(found) == len(theirs)
    for mine, value in zip(found.values(), theirs, strict=True):
        assert torch.equal(mine, value.detach())


@pytest.mark.parametrize(
    ("initialization", "deviation"),
    [
        ("xavier_normal", sqrt(2 / (25 + 200))),
        ("xavier_uniform", sqrt(2 / (25 + 200))),
        ("kaiming_normal", sqrt(2 / 25)),
    ],
)
def test_other_initializations_have_their_spread_and_no_bias(
    initialization: str, deviation: float
) -> None:
    model = MLP.model_validate({"kind": "mlp", "hidden": [200], "initialization": initialization})
    parameters = model.initial((25,), 3, 0, torch.float32)
    assert float(parameters["1.weight"].std()) == pytest.approx(deviation, rel=0.05)
    assert not parameters["1.bias"].any()
    assert not parameters["3.bias"].any()


def test_orthogonal_columns_are_orthogonal() -> None:
    weight = MLP(hidden=(8,), initialization="orthogonal").initial((5,), 3, 0, torch.float64)
    product = weight["1.weight"].T @ weight["1.weight"]
    torch.testing.assert_close(product, torch.eye(5, dtype=torch.float64), rtol=0, atol=1e-5)


def test_only_the_linear_model_is_convex() -> None:
    assert Linear().convex
    assert not MLP(hidden=(2,)).convex


def test_inputs_of_any_shape_are_flattened() -> None:
    network = Linear().network((2, 3), 4)
    parameters = Linear().initial((2, 3), 4, 0, torch.float32)
    inputs = torch.arange(12.0).reshape(2, 2, 3)
    expected = inputs.flatten(1) @ parameters["1.weight"].T + parameters["1.bias"]
    torch.testing.assert_close(network(parameters, inputs), expected)
