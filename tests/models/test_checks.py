"""Networks of others that would make an example's loss depend on something else are refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from fragility.errors import UsageError
from fragility.models._checks import checked
from fragility.numerics.network import Network


class With(nn.Module):
    """An affine layer, and what a test does to its outputs."""

    def __init__(self, then: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 3)
        self.then = then

    def forward(self, inputs: Tensor) -> Any:
        return self.then(self.layer(inputs))


def branching(outputs: Tensor) -> Tensor:
    return outputs if (outputs == outputs).all() else -outputs


def frozen() -> nn.Module:
    module = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 3))
    module[0].weight.requires_grad_(False)
    return module


def buffered() -> nn.Module:
    module = nn.Sequential(nn.Linear(4, 3))
    module.register_buffer("scale", torch.ones(3))
    return module


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3)), "`it` has batch normalization"),
        (nn.Flatten(), "has no parameters"),
        (frozen(), "does not train `0.weight`"),
        (buffered(), "has buffers of decimal numbers, `scale`"),
        (With(lambda outputs: outputs[:, :2]), "makes 2 x 2 numbers of two examples (4), not 2 x"),
        (With(lambda outputs: [outputs]), "returns a list"),
        (With(lambda outputs: outputs - outputs.mean(dim=0)), "when another stands beside it"),
        (With(lambda outputs: outputs + torch.rand(3)), "the second time"),
        (With(lambda outputs: 0 * outputs + 1), "the same outputs of different examples"),
        (With(branching), "as a stack (torch.vmap) for examples of 4 numbers fails"),
        (With(lambda outputs: outputs @ torch.eye(3)), "fails in float64: RuntimeError"),
        (
            nn.Sequential(nn.Linear(4, 3), nn.Hardsigmoid()),
            "has no second derivatives: RuntimeError",
        ),
        (nn.Linear(5, 3), "for examples of 4 numbers fails"),
    ],
)
def test_what_is_wrong_is_named(module: nn.Module, message: str) -> None:
    with pytest.raises(UsageError) as error:
        checked("`it`", Network(module.eval()), (4,), 3)
    assert message in str(error.value)


@pytest.mark.parametrize(
    "module",
    [
        nn.Linear(4, 3),
        nn.Sequential(nn.Linear(4, 6), nn.Dropout(0.5), nn.LayerNorm(6), nn.Linear(6, 3)),
        With(lambda outputs: outputs - outputs.mean(dim=1, keepdim=True)),
    ],
)
def test_what_is_right_is_returned_and_left_as_it_was(module: nn.Module) -> None:
    before = {name: value.clone() for name, value in module.state_dict().items()}
    state = torch.get_rng_state()
    network = Network(module.eval())
    assert checked("`it`", network, (4,), 3) is network
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())


def test_a_last_layer_of_zeros_is_no_constant() -> None:
    module = nn.Linear(4, 3)
    nn.init.zeros_(module.weight)
    checked("`it`", Network(module.eval()), (4,), 3)
