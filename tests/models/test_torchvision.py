"""torchvision's classifiers against torchvision."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from pydantic import ValidationError
from torch import nn
from torchvision import models

from fragility.errors import DataError, UsageError
from fragility.models.torchvision import Torchvision
from fragility.numerics.curvature import CurvatureMatrix
from fragility.numerics.fused_forward import stacked_outputs
from fragility.numerics.gradients import per_example_gradients
from fragility.numerics.losses import loss_for
from fragility.numerics.trained import TrainedModel

SMALL = (3, 32, 32)


def groups_of(channels: int, most: int = 32) -> nn.GroupNorm:
    groups = next(g for g in range(min(most, channels), 0, -1) if channels % g == 0)
    return nn.GroupNorm(groups, channels)


@pytest.mark.parametrize(
    ("name", "norm_layer"),
    [
        ("resnet18", groups_of),
        ("resnet18", partial(groups_of, most=2)),
        ("mobilenet_v2", groups_of),
    ],
)
def test_a_network_is_torchvision_s_with_group_normalization(
    name: str, norm_layer: partial[nn.GroupNorm]
) -> None:
    most = norm_layer.keywords["most"] if isinstance(norm_layer, partial) else 32
    model = Torchvision(name=name, groups=most)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        module = models.get_model(name, num_classes=7, norm_layer=norm_layer).double().eval()
    values = model.initial(SMALL, 7, 5, torch.float64)
    theirs = dict(module.named_parameters())
    assert list(values) == list(theirs)
    assert all(torch.equal(value, theirs[name]) for name, value in values.items())
    images = torch.randn(3, *SMALL, generator=torch.Generator().manual_seed(0)).double()
    expected = module(images).detach()
    assert float((expected[0] - expected[1]).abs().max()) > 1e-3
    found = model.network(SMALL, 7)(values, images)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(
    ("name", "side"),
    [
        ("resnet18", 32),
        ("densenet121", 32),
        ("efficientnet_b0", 32),
        ("mnasnet0_5", 32),
        ("mobilenet_v2", 32),
        ("regnet_x_400mf", 32),
        ("shufflenet_v2_x0_5", 32),
        ("squeezenet1_1", 64),
    ],
)
def test_parameters_are_as_many_as_torchvision_s_with_batch_normalization(
    name: str, side: int
) -> None:
    with torch.device("meta"), torch.random.fork_rng(devices=[]):
        theirs = None if name.startswith("regnet") else models.get_model(name, num_classes=10)
    # A regnet reads numbers while it is built.
    theirs = theirs or models.get_model(name, num_classes=10)
    network = Torchvision(name=name).network((3, side, side), 10)
    assert network.layout.names == tuple(n for n, _ in theirs.named_parameters())
    assert network.layout.size == sum(p.numel() for p in theirs.parameters())
    assert not any(isinstance(m, nn.BatchNorm2d) for m in network.module.modules())


def test_a_stack_is_its_models_one_by_one() -> None:
    model = Torchvision(name="mobilenet_v2")
    network = model.network(SMALL, 3)
    alone = [model.initial(SMALL, 3, seed, torch.float64) for seed in range(2)]
    stack = {name: torch.stack([values[name] for values in alone]) for name in alone[0]}
    images = torch.randn(3, *SMALL, generator=torch.Generator().manual_seed(0)).double()
    found = stacked_outputs(network, stack, images)
    expected = torch.stack([network(values, images) for values in alone])
    torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-13)
    own = torch.cat([network(alone[0], image) for image in images.split(1)])
    torch.testing.assert_close(own, expected[0], rtol=1e-11, atol=1e-13)


def test_gradients_and_curvature_pass_through_operations_in_place() -> None:
    model = Torchvision(name="shufflenet_v2_x0_5", groups=8)
    network, loss = model.network(SMALL, 3), loss_for("classification")
    images = torch.randn(3, *SMALL, generator=torch.Generator().manual_seed(0)).double()
    targets = torch.tensor([0, 2, 1])
    at = TrainedModel(
        network=network,
        loss=loss,
        test_loss=loss,
        decay=dict.fromkeys(network.layout.names, 0.0),
        parameters=model.initial(SMALL, 3, 1, torch.float64),
        inputs=images,
        targets=targets,
        test_inputs=images,
        test_targets=targets,
    )
    layout = network.layout
    found = per_example_gradients(at, layout, images, targets)
    vector = torch.randn(1, layout.size, generator=torch.Generator().manual_seed(3)).double()
    (product,) = CurvatureMatrix(at, layout).product(vector)
    with torch.random.fork_rng(devices=[]):
        module = model.build(SMALL, 3).double().eval()
    theta = [at.parameters[name].clone().requires_grad_() for name in layout.names]

    def losses(*values: torch.Tensor) -> torch.Tensor:
        given = dict(zip(layout.names, values, strict=True))
        outputs = torch.func.functional_call(module, given, (images,))
        return nn.functional.cross_entropy(outputs, targets, reduction="none")

    for k, row in enumerate(found):
        gradient = torch.autograd.grad(losses(*theta)[k], theta)
        expected = torch.cat([part.flatten() for part in gradient])
        torch.testing.assert_close(row, expected, rtol=1e-8, atol=1e-10)
    slopes = torch.autograd.grad(losses(*theta).mean(), theta, create_graph=True)
    along = (torch.cat([part.flatten() for part in slopes]) * vector[0]).sum()
    expected = torch.cat([part.flatten() for part in torch.autograd.grad(along, theta)])
    torch.testing.assert_close(product, expected, rtol=1e-7, atol=1e-9)


def test_an_unknown_name_is_told_with_the_nearest() -> None:
    with pytest.raises(ValidationError, match=r"no classifier `resnet81`. Did you mean `resnet18`"):
        Torchvision(name="resnet81")


def test_images_that_do_not_fit_are_refused() -> None:
    model = Torchvision(name="squeezenet1_1")
    with pytest.raises(DataError, match="3 channels, and those of this dataset have 1"):
        model.network((1, 64, 64), 10)
    with pytest.raises(DataError, match="reads images"):
        model.network((30,), 10)
    with pytest.raises(UsageError, match=r"`squeezenet1_1` for examples of 3 x 8 x 8 .* fails"):
        model.network((3, 8, 8), 10)
    with pytest.raises(UsageError, match="`mobilenet_v3_small` has no second derivatives"):
        Torchvision(name="mobilenet_v3_small").network(SMALL, 10)
    # Of one pixel and one channel a group normalization leaves nothing.
    with pytest.raises(UsageError, match="too small for it, or for so many groups"):
        Torchvision(name="densenet121", groups=1024).network(SMALL, 10)
