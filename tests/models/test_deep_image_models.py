"""VGG and ResNet against torchvision's and the published sizes, and alone and in a stack."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import nn
from torchvision.models import resnet18
from torchvision.models.vgg import cfgs, make_layers

from fragility.errors import DataError, MethodFailure
from fragility.estimators.cg import CG
from fragility.estimators.ekfac import EKFAC
from fragility.estimators.exact import Exact
from fragility.models.base import Model
from fragility.models.resnet import ResNet
from fragility.models.vgg import VGG
from fragility.numerics.curvature import CurvatureMatrix
from fragility.numerics.losses import loss_for
from fragility.numerics.stack import StackProblem
from fragility.numerics.trained import TrainedModel
from tests.numerics.networks import autograd_gradients, autograd_hessian

CIFAR = (3, 32, 32)
GROUPS = partial(nn.GroupNorm, 32)


def their_vgg(letter: str) -> nn.Module:
    """torchvision's convolutions with one affine layer, the form for CIFAR-10."""
    return nn.Sequential(make_layers(cfgs[letter]), nn.Flatten(), nn.Linear(512, 10))


def their_resnet18() -> nn.Module:
    """torchvision's with a stem for small images."""
    module = resnet18(num_classes=10, norm_layer=GROUPS)
    module.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
    module.maxpool = nn.Identity()
    return module


class ResNet9(nn.Module):
    """Written layer by layer."""

    def __init__(self) -> None:
        super().__init__()
        sizes = (
            (3, 64),
            (64, 128),
            (128, 128),
            (128, 128),
            (128, 256),
            (256, 512),
            (512, 512),
            (512, 512),
        )
        self.steps = nn.ModuleList(
            nn.Sequential(nn.Conv2d(a, b, 3, padding=1, bias=False), GROUPS(b), nn.ReLU())
            for a, b in sizes
        )
        self.linear = nn.Linear(512, 10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        prep, one, one_a, one_b, two, three, three_a, three_b = self.steps
        pool = partial(nn.functional.max_pool2d, kernel_size=2)
        hidden = pool(one(prep(images)))
        hidden = hidden + one_b(one_a(hidden))
        hidden = pool(three(pool(two(hidden))))
        hidden = hidden + three_b(three_a(hidden))
        return self.linear(nn.functional.max_pool2d(hidden, 4).flatten(1))


@pytest.mark.parametrize(
    ("model", "shape", "parameters"),
    [
        (VGG(), CIFAR, 9_225_610),
        (VGG(depth=13, hidden=(4096, 4096, 1000)), CIFAR, 32_394_562),
        (VGG(depth=13, hidden=(4096, 4096, 1000)), (1, 32, 32), 32_393_410),
        (ResNet(), CIFAR, 6_573_130),
        (ResNet(depth=18), CIFAR, 11_173_962),
    ],
)
def test_sizes_are_the_published_ones(
    model: Model, shape: tuple[int, ...], parameters: int
) -> None:
    network = model.network(shape, 10)
    assert network.layout.size == parameters
    assert isinstance(network.module, nn.Sequential)
    assert isinstance(network.module[-1], nn.Linear)
    parts = network.split(network.select("last_layer"))
    assert parts is not None
    assert len(parts[1].layout.names) == 2


@pytest.mark.parametrize(
    ("model", "by_others"),
    [
        (VGG(), partial(their_vgg, "A")),
        (VGG(depth=13), partial(their_vgg, "B")),
        (ResNet(depth=18), their_resnet18),
        (ResNet(depth=9), ResNet9),
    ],
    ids=["vgg-11", "vgg-13", "resnet-18", "resnet-9"],
)
def test_outputs_are_those_of_others_networks(
    model: Model, by_others: Callable[[], nn.Module]
) -> None:
    network = model.network(CIFAR, 10)
    values = model.initial(CIFAR, 10, 0, torch.float64)
    generator = torch.Generator().manual_seed(0)
    moved = {n: v + 0.02 * torch.randn(v.shape, generator=generator) for n, v in values.items()}
    module = by_others().double().eval()
    assert [tuple(p.shape) for p in module.parameters()] == [*map(tuple, network.layout.shapes)]
    torch.nn.utils.vector_to_parameters(network.layout.flatten(moved), module.parameters())
    images = torch.randn(2, *CIFAR, generator=generator, dtype=torch.float64)
    found = network(moved, images)
    torch.testing.assert_close(found, module(images), rtol=1e-10, atol=1e-12)
    assert float((found[0] - found[1]).abs().max()) > 1e-6


TINY: dict[str, tuple[Model, tuple[int, ...]]] = {
    "vgg": (VGG(width=0.03, activation="tanh", initialization="kaiming_normal"), (1, 32, 32)),
    "vgg-group": (
        VGG(depth=13, width=0.03, hidden=(5,), normalization="group", groups=2),
        (2, 33, 32),
    ),
    "resnet-9": (ResNet(width=0.05, groups=4), (1, 8, 8)),
    "resnet-18": (ResNet(depth=18, width=0.05, groups=2, activation="silu"), (1, 8, 9)),
    "resnet-none": (ResNet(depth=18, width=0.05, normalization="none"), (1, 8, 8)),
}
N = 9


def untrained(name: str) -> TrainedModel:
    model, shape = TINY[name]
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(N + 3, *shape, generator=generator, dtype=torch.float64)
    targets = torch.randint(0, 3, (N + 3,), generator=generator)
    network = model.network(shape, 3)
    return TrainedModel(
        network=network,
        loss=loss_for("classification"),
        test_loss=loss_for("classification"),
        decay=dict.fromkeys(network.layout.names, 0.05),
        parameters=model.initial(shape, 3, 1, torch.float64),
        inputs=inputs[:N],
        targets=targets[:N],
        test_inputs=inputs[N:],
        test_targets=targets[N:],
    )


@pytest.mark.parametrize("name", TINY)
def test_a_stack_is_its_models_one_by_one(name: str) -> None:
    model, shape = TINY[name]
    at = untrained(name)
    layout = at.network.layout
    theta = torch.stack(
        [layout.flatten(model.initial(shape, 3, k, torch.float64)) for k in range(2)]
    )
    weights = torch.rand(2, N, generator=torch.Generator().manual_seed(2), dtype=torch.float64) / N
    decay = torch.full((2, 1), 0.01, dtype=torch.float64)
    found = StackProblem(
        at.network, at.loss, layout, {}, at.inputs, at.targets, weights, decay
    ).evaluate(theta)
    for k in range(2):
        module = model.build(shape, 3).double()
        torch.nn.utils.vector_to_parameters(theta[k].clone(), module.parameters())
        losses = nn.functional.cross_entropy(module(at.inputs), at.targets, reduction="none")
        objective = (weights[k] * losses).sum()
        objective = objective + sum(0.005 * p.square().sum() for p in module.parameters())
        objective.backward()
        gradient = torch.cat([p.grad.flatten() for p in module.parameters() if p.grad is not None])
        torch.testing.assert_close(found.objective[k], objective.detach(), rtol=1e-12, atol=1e-13)
        torch.testing.assert_close(found.gradient[k], gradient, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", TINY)
def test_an_example_s_outputs_are_its_own(name: str) -> None:
    at = untrained(name)
    whole = at.network(at.parameters, at.inputs)
    alone = at.network(at.parameters, at.inputs[3:4])
    torch.testing.assert_close(whole[3:4], alone, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("name", TINY)
def test_last_layer_scores_agree_with_autograd_written_out(name: str) -> None:
    at = untrained(name)
    own = at.network.select("last_layer").size
    suffix = at.network.split(at.network.select("last_layer"))
    assert suffix is not None
    features, last = suffix
    before = {n: at.parameters[n] for n in features.layout.names}
    on_features = replace(
        at,
        network=last,
        parameters={n: at.parameters[n] for n in last.layout.names},
        decay={n: at.decay[n] for n in last.layout.names},
        inputs=features(before, at.inputs),
        test_inputs=features(before, at.test_inputs),
    )
    hessian = autograd_hessian(on_features)
    hessian.diagonal().add_(0.05 + 0.01)
    test = autograd_gradients(
        replace(on_features, inputs=on_features.test_inputs, targets=at.test_targets)
    )
    expected = test @ torch.linalg.solve(hessian, autograd_gradients(on_features).T) / N
    assert hessian.shape == (own, own)
    points = torch.arange(3)
    for estimator in (Exact, partial(CG, tolerance=1e-11)):
        scores = estimator(parameters="last_layer", damping=0.01).estimate(at, points).scores
        torch.testing.assert_close(scores, expected, rtol=1e-7, atol=1e-11)


def test_products_with_the_hessian_cover_group_normalization() -> None:
    """Of all parameters, by autograd where the layers are not those of a chain."""
    at = untrained("resnet-9")
    layout = at.network.layout
    vectors = torch.randn(2, layout.size, generator=torch.Generator().manual_seed(3)).double()

    def mean_loss(flat: torch.Tensor) -> torch.Tensor:
        return at.losses_at(layout, flat, at.inputs, at.targets).mean()

    found = CurvatureMatrix(at, layout, includes_regularization=False).product(vectors)
    for vector, row in zip(vectors, found, strict=True):
        _, expected = torch.autograd.functional.hvp(mean_loss, at.vector(layout), vector)
        torch.testing.assert_close(row, expected, rtol=1e-8, atol=1e-10)


def test_kronecker_factors_leave_normalization_to_others() -> None:
    at = untrained("resnet-9")
    with pytest.raises(MethodFailure, match="dense layers and convolutions"):
        EKFAC(damping=0.1).estimate(at, torch.arange(3))
    convolutions = tuple(
        f"{name}.weight" for name, layer in at.network.module.named_modules()
        if isinstance(layer, (nn.Conv2d, nn.Linear))
    )  # fmt: skip
    scores = EKFAC(damping=0.1, parameters=convolutions).estimate(at, torch.arange(3)).scores
    assert bool(torch.isfinite(scores).all())


def test_groups_divide_the_channels() -> None:
    def groups(model: Model, shape: tuple[int, ...]) -> list[tuple[int, int]]:
        layers = model.network(shape, 3).module.modules()
        return [(m.num_groups, m.num_channels) for m in layers if isinstance(m, nn.GroupNorm)]

    assert groups(ResNet(), CIFAR)[:2] == [(32, 64), (32, 128)]
    assert groups(ResNet(width=0.375, groups=32), CIFAR)[:2] == [(24, 24), (24, 48)]
    assert groups(VGG(width=0.11, normalization="group", groups=4), CIFAR)[0] == (1, 7)
    assert groups(VGG(), CIFAR) == []


def test_images_that_are_too_small_are_refused() -> None:
    with pytest.raises(DataError, match=r"`vgg` needs images of at least 32 x 32, .* are 28 x 28"):
        VGG().network((1, 28, 28), 10)
    with pytest.raises(DataError, match="at least 8 x 8"):
        ResNet().network((1, 7, 8), 10)
