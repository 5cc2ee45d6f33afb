"""Networks for images: their sizes as published, and their outputs as torch.nn writes them."""

from __future__ import annotations

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from fragility.errors import DataError
from fragility.models.base import Model
from fragility.models.lenet import LeNet
from fragility.models.small_cnn import SmallCNN

MNIST, CIFAR = (1, 28, 28), (3, 32, 32)


class LeNet1998(nn.Module):
    """LeNet-5 with C5 as the convolution that it is on images of 32 x 32."""

    def __init__(self) -> None:
        super().__init__()
        self.c1 = nn.Conv2d(1, 6, 5)
        self.c3 = nn.Conv2d(6, 16, 5)
        self.c5 = nn.Conv2d(16, 120, 5)
        self.f6 = nn.Linear(120, 84)
        self.out = nn.Linear(84, 10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        hidden = nn.functional.avg_pool2d(
            torch.tanh(self.c1(nn.functional.pad(images, [2] * 4))), 2
        )
        hidden = nn.functional.avg_pool2d(torch.tanh(self.c3(hidden)), 2)
        hidden = torch.tanh(self.c5(hidden)).flatten(1)
        return self.out(torch.tanh(self.f6(hidden)))


class AllCNN(nn.Module):
    """The network of Koh and Liang's code: unpadded convolutions, the mean over the image."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.ModuleList(
            nn.Conv2d(c, 8, 3, s) for c, s in ((1, 1), (8, 2), (8, 1), (8, 2), (8, 1))
        )
        self.c = nn.Conv2d(8, 10, 1)
        self.softmax_linear = nn.Linear(10, 10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        for layer in (*self.a, self.c):
            images = torch.tanh(layer(images))
        return self.softmax_linear(images.mean(dim=(2, 3)))


@pytest.mark.parametrize(
    ("model", "shape", "parameters"),
    [
        (LeNet(), MNIST, 61_706),
        (LeNet(padding=2), MNIST, 61_706),
        (LeNet(), (1, 32, 32), 61_706),
        (LeNet(), CIFAR, 62_006),
        (SmallCNN(), MNIST, 2_616),
    ],
)
def test_sizes_are_the_published_ones(
    model: Model, shape: tuple[int, ...], parameters: int
) -> None:
    network = model.network(shape, 10)
    assert network.layout.size == parameters
    assert isinstance(network.module, nn.Sequential)
    assert isinstance(network.module[-1], nn.Linear)
    assert network.select("last_layer").names == (
        f"{network.last_layer}.weight",
        f"{network.last_layer}.bias",
    )


@pytest.mark.parametrize(("model", "by_hand"), [(LeNet(), LeNet1998), (SmallCNN(), AllCNN)])
def test_outputs_are_those_of_the_network_written_by_hand(
    model: Model, by_hand: type[nn.Module]
) -> None:
    network = model.network(MNIST, 10)
    values = model.initial(MNIST, 10, 3, torch.float64)
    module = by_hand().double()
    flat = network.layout.flatten(values)
    torch.nn.utils.vector_to_parameters(flat, module.parameters())
    images = torch.randn(4, *MNIST, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    torch.testing.assert_close(network(values, images), module(images), rtol=0, atol=1e-13)


def test_fields_change_what_they_name() -> None:
    def layers(model: Model, shape: tuple[int, ...] = MNIST) -> list[str]:
        return [type(layer).__name__ for layer in model.network(shape, 10).module.children()]

    assert layers(LeNet(activation="relu", pooling="max"))[:3] == ["Conv2d", "ReLU", "MaxPool2d"]
    assert layers(SmallCNN(activation="softplus"))[1] == "Softplus"
    double = LeNet(width=2).network(MNIST, 10).layout.shapes
    assert [shape[0] for shape in double[::2]] == [12, 32, 240, 168, 10]
    wide = SmallCNN(width=3).network(MNIST, 4).layout.shapes
    assert [shape[0] for shape in wide[::2]] == [3, 3, 3, 3, 3, 10, 4]
    values = SmallCNN(initialization="kaiming_normal", width=200).initial(
        MNIST, 10, 0, torch.float32
    )
    assert float(values["2.weight"].std()) == pytest.approx((2 / 1800) ** 0.5, rel=0.02)
    assert not values["2.bias"].any()


def test_images_of_other_sizes_are_padded_to_32() -> None:
    for side in (8, 27, 28, 31, 32, 40):
        network = LeNet().network((1, side, side + 3), 10)
        outputs = network(
            LeNet().initial((1, side, side + 3), 10, 0, torch.float32),
            torch.ones(2, 1, side, side + 3),
        )
        assert outputs.shape == (2, 10)
        padded = side + 2 * network.module[0].padding[0]  # type: ignore[index, operator, union-attr]
        assert padded >= 32
        assert padded <= max(33, side)


@pytest.mark.parametrize(
    ("model", "shape", "message"),
    [
        (LeNet(), (4,), r"reads images .* 4 numbers\. Use a dataset of images, or a model `mlp`"),
        (SmallCNN(), (28, 28), r"reads images .* 28 x 28 numbers"),
        (SmallCNN(), (1, 20, 28), r"at least 21 x 21, .* are 20 x 28"),
        (LeNet(padding=2), (1, 11, 11), r"at least 12 x 12"),
    ],
)
def test_what_is_no_image_or_too_small_is_refused(
    model: Model, shape: tuple[int, ...], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        model.network(shape, 3)


def test_the_smallest_images_are_enough() -> None:
    for model, shape in (
        (SmallCNN(), (1, 21, 21)),
        (LeNet(padding=0), (1, 16, 16)),
        (LeNet(padding=2), (1, 12, 12)),
    ):
        assert model.network(shape, 3)(
            model.initial(shape, 3, 0, torch.float32), torch.ones(1, *shape)
        ).shape == (1, 3)


def test_nonsense_is_refused() -> None:
    for fields in ({"width": 0}, {"padding": -1}, {"pooling": "sum"}, {"activation": "step"}):
        with pytest.raises(ValidationError):
            LeNet.model_validate({"kind": "lenet", **fields})
