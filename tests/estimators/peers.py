"""What the tests of other packages' adapters share."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
import torch

from fragility.models.linear import Linear
from fragility.models.mlp import MLP
from fragility.numerics.trained import TrainedModel
from fragility.regularizers.weight_decay import WeightDecay
from tests.numerics.networks import autograd_gradients, autograd_hessian
from tests.problems import trained

ALL_TEST = torch.arange(8)
DECAY = WeightDecay(strength=0.05, parameters="weights")
ARCHITECTURES = {
    "linear": (Linear(), "classification", 3),
    "least-squares": (Linear(), "regression", 1),
    "least-squares-3": (Linear(), "regression", 3),
    "mlp": (MLP(hidden=(4,), activation="tanh"), "classification", 3),
    "mlp-regression": (MLP(hidden=(3,), activation="tanh"), "regression", 2),
}


@cache
def fitted(name: str, decay: WeightDecay = DECAY) -> TrainedModel:
    """A trained model of one of the architectures."""
    architecture, task, outputs = ARCHITECTURES[name]
    return trained(architecture, task, decay, outputs=outputs)


def damped_hessian(model: TrainedModel, damping: float) -> torch.Tensor:
    """The Hessian of the objective by torch's double backward, penalty and damping added."""
    added = model.decay_vector(model.network.layout) + damping
    return autograd_hessian(model) + torch.diag(added)


def train_and_test_gradients(model: TrainedModel) -> tuple[torch.Tensor, torch.Tensor]:
    """The gradients (n, P) and (T, P) of single examples by torch's own backward."""
    tests = replace(model, inputs=model.test_inputs, targets=model.test_targets)
    return autograd_gradients(model), autograd_gradients(tests)


@contextmanager
def no_trace(
    model: TrainedModel, directory: Path, capfd: pytest.CaptureFixture[str]
) -> Iterator[None]:
    """Fails where something is printed, drawn, written, warned or changed for good."""
    parameters, module = deepcopy(dict(model.parameters)), model.network.module
    state = deepcopy(module.state_dict())
    needs = [p.requires_grad for p in module.parameters()]
    drawn, dtype, filters = (
        torch.random.get_rng_state(),
        torch.get_default_dtype(),
        warnings.filters,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tempfile.tempdir", str(directory))
        patch.chdir(directory)
        yield
    assert list(directory.iterdir()) == []
    assert capfd.readouterr() == ("", "")
    assert torch.equal(torch.random.get_rng_state(), drawn)
    assert torch.get_default_dtype() == dtype
    assert warnings.filters == filters
    for name, value in model.parameters.items():
        assert torch.equal(value, parameters[name])
        assert value.grad is None
    for name, value in module.state_dict().items():
        assert torch.equal(value, state[name])
    assert [p.requires_grad for p in module.parameters()] == needs
    assert not any(m._forward_hooks or m._backward_hooks for m in module.modules())
