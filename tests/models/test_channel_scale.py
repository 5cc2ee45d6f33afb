"""Batch normalization whose statistics are taken once, against torch's at the initial values."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torchvision import models

from fragility.errors import UsageError
from fragility.execution.workbench import Workbench
from fragility.models._channel_scale import ChannelScale
from fragility.models._data_dependent import EXAMPLES, data_dependent
from fragility.models.base import Model
from fragility.models.resnet import ResNet
from fragility.models.torchvision import Torchvision
from fragility.models.vgg import VGG
from fragility.numerics.network import Network
from fragility.plan import compile_study
from fragility.plan.catalog import Catalog
from fragility.store import Store
from tests.tiny import TINY, changed, load, run

SMALL = (3, 32, 32)


def standardized(
    network: Network, values: Mapping[str, torch.Tensor], examples: torch.Tensor
) -> dict[str, torch.Tensor]:
    return data_dependent(network, values, lambda: examples)


def images(n: int, shape: tuple[int, ...] = SMALL) -> torch.Tensor:
    return torch.randn(n, *shape, generator=torch.Generator().manual_seed(0)).double() * 2 + 1


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2"])
def test_at_the_initial_values_it_is_torch_s_batch_normalization(name: str) -> None:
    """On the batch of all examples, which torch normalizes by its own statistics."""
    # The dropout of mobilenet draws.
    off = {"dropout": 0.0} if name == "mobilenet_v2" else {}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        theirs = models.get_model(name, num_classes=4, **off).double().train()
    model = Torchvision(name=name, normalization="batch")
    network = model.network(SMALL, 4)
    values = model.initial(SMALL, 4, 3, torch.float64)
    assert [n for n, _ in theirs.named_parameters()] == list(values)
    examples = images(6)
    found = network(standardized(network, values, examples), examples)
    expected = theirs(examples).detach()
    assert float((expected[0] - expected[1]).abs().max()) > 1e-3
    torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize(
    "model",
    [
        ResNet(width=0.05, normalization="batch"),
        ResNet(depth=18, width=0.05, normalization="batch"),
        VGG(width=0.05, normalization="batch", hidden=(4,)),
    ],
    ids=["resnet-9", "resnet-18", "vgg-11"],
)
def test_every_channel_has_mean_0_and_variance_1(model: Model) -> None:
    network = model.network(SMALL, 4)
    drawn = model.initial(SMALL, 4, 0, torch.float64)
    before = {name: value.clone() for name, value in drawn.items()}
    examples = images(40)
    values = standardized(network, drawn, examples)
    assert all(torch.equal(drawn[name], value) for name, value in before.items())
    seen: list[torch.Tensor] = []
    layers = [m for m in network.module.modules() if isinstance(m, ChannelScale)]
    handles = [m.register_forward_hook(lambda *given: seen.append(given[2])) for m in layers]
    outputs = network(values, examples)
    for handle in handles:
        handle.remove()
    assert len(seen) == len(layers) >= 8
    for output in seen:
        over = output.transpose(0, 1).flatten(1)
        assert float(over.mean(dim=1).abs().max()) < 1e-10
        # Up to the epsilon under the root, where there is little variance.
        torch.testing.assert_close(
            over.std(dim=1, correction=0), torch.ones(len(over)).double(), rtol=0.05, atol=0
        )
    torch.testing.assert_close(network(values, examples[3:4]), outputs[3:4], rtol=1e-9, atol=1e-12)


def test_statistics_of_many_examples_are_those_of_some_from_all_over() -> None:
    network = Network(nn.Sequential(ChannelScale(1), nn.Flatten(), nn.Linear(1, 2)))
    n = 2 * EXAMPLES + 5
    ramp = torch.arange(n, dtype=torch.float64).view(n, 1, 1, 1)
    values = standardized(
        network, {k: v.detach().double() for k, v in network.module.named_parameters()}, ramp
    )
    mean, std = -float(values["0.bias"] / values["0.weight"]), 1 / float(values["0.weight"])
    assert mean == pytest.approx((n - 1) / 2, rel=2e-3)
    assert std == pytest.approx(float(ramp.std()), rel=2e-3)


def test_a_channel_without_variance_stays_finite() -> None:
    network = Network(nn.Sequential(ChannelScale(2), nn.Flatten(), nn.Linear(2, 2)))
    values = {k: v.detach() for k, v in network.module.named_parameters()}
    found = standardized(network, values, torch.full((5, 2, 1, 1), 3.0))
    assert all(bool(torch.isfinite(value).all()) for value in found.values())
    assert float(network(found, torch.full((5, 2, 1, 1), 3.0)).std()) < 10


class Centred(nn.Module):
    """A layer of a study's own: it hands on what is left beside the mean, times a scale."""

    def __init__(self, features: int, **others: torch.Tensor) -> None:
        super().__init__()
        self.mean = nn.Parameter(torch.zeros(features))
        self.scale = nn.Parameter(torch.full((features,), 2.0))
        self.others = others

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return (inputs - self.mean) * self.scale

    def from_data(self, inputs: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"mean": inputs.mean(dim=0), **self.others}


def test_any_layer_may_take_its_values_from_what_it_is_given() -> None:
    linear = nn.Linear(3, 3)
    network = Network(nn.Sequential(Centred(3), linear, Centred(3)))
    values = {name: p.detach() for name, p in network.module.named_parameters()}
    x = torch.randn(20, 3, generator=torch.Generator().manual_seed(1)) + 5
    found = standardized(network, values, x)
    torch.testing.assert_close(found["0.mean"], x.mean(dim=0))
    # The second is given what the first one makes at the values it has given.
    through = linear((x - x.mean(dim=0)) * 2).detach()
    torch.testing.assert_close(found["2.mean"], through.mean(dim=0), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(network(found, x).mean(dim=0), torch.zeros(3), rtol=0, atol=1e-5)
    same = ["0.scale", "1.weight", "1.bias", "2.scale"]
    assert all(torch.equal(found[name], values[name]) for name in same)
    assert {value.dtype for value in found.values()} == {torch.float32}
    assert not bool(values["0.mean"].any())


def test_without_such_a_layer_no_examples_are_read() -> None:
    network = Network(nn.Linear(3, 2))
    values = dict(network.module.named_parameters())

    def none() -> torch.Tensor:
        raise AssertionError("nothing asked for examples")

    assert data_dependent(network, values, none) == values


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [("maen", torch.zeros(3), "`maen`, which is none"), ("scale", torch.zeros(1), r"\(1,\), not")],
)
def test_values_of_no_parameter_are_refused(name: str, value: torch.Tensor, message: str) -> None:
    network = Network(Centred(3, **{name: value}))
    values = {n: p.detach() for n, p in network.module.named_parameters()}
    with pytest.raises(UsageError, match=message):
        standardized(network, values, torch.ones(4, 3))


def test_a_study_trains_and_retrains_from_such_values(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    y = np.arange(30) % 2
    x = (generator.integers(0, 100, size=(30, 1, 8, 8)) + 100 * y[:, None, None, None]).astype("u1")
    np.savez(tmp_path / "a.npz", x_train=x[:24], y_train=y[:24], x_test=x[24:], y_test=y[24:])
    model = {"kind": "resnet", "width": 0.02, "normalization": "batch", "activation": "tanh"}
    study = changed(
        TINY,
        {
            "datasets": {"images": {"kind": "npz", "path": str(tmp_path / "a.npz")}},
            "models": {"net": model},
            "estimators": {"last": {"kind": "exact", "parameters": "last_layer", "damping": 0.01}},
            "procedures.warm.parameters": "last_layer",
            "procedures.cold": {
                **TINY["procedures"]["warm"],
                "start": "cold",
                "train_points": {"kind": "random", "count": 2},
            },
        },
    )
    assert run(study, tmp_path / "store").failed == 0
    plan = compile_study(load(study))
    (planned,) = plan.cells
    with Store.open(tmp_path / "store", write=False) as store:
        bench = Workbench(plan, Catalog(tmp_path), store, torch.device("cpu"))
        drawn = planned.cell.model.initial((1, 8, 8), 2, 5, torch.float64)
        inputs = torch.from_numpy(x[:24] / np.float32(255)).double()
        expected = standardized(planned.network, drawn, inputs)
        found = bench.initial(planned, 5)
        trained = bench.parameters(planned)
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-5, atol=1e-5)
    assert not torch.equal(found["1.weight"], drawn["1.weight"])
    # From there on scale and shift are trained as the others are.
    assert not torch.equal(trained["1.weight"], found["1.weight"])
