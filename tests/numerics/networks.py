"""Networks of every sort that derivatives are checked on, with random parameters."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from fragility.numerics.losses import loss_for
from fragility.numerics.network import Network
from fragility.numerics.trained import TrainedModel


class Residual(nn.Module):
    """No sequence of layers: its inner layer is added to what it sees."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(5, 5)
        self.outer = nn.Linear(5, 3)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        hidden = inputs.flatten(1)
        return self.outer(hidden + torch.tanh(self.inner(hidden)))


def _dense(activation: Callable[[], nn.Module]) -> nn.Module:
    return nn.Sequential(
        nn.Flatten(), nn.Linear(5, 4), activation(), nn.Linear(4, 3, bias=False), activation(),
        nn.Linear(3, 3),
    )  # fmt: skip


def _convolution() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(2, 3, 3, padding=1), nn.Tanh(), nn.AvgPool2d(2), nn.Conv2d(3, 2, 2, stride=2),
        nn.GELU(), nn.MaxPool2d(1), nn.Flatten(), nn.Dropout(0.5), nn.Linear(2, 3),
    )  # fmt: skip


def _pooling() -> nn.Module:
    return nn.Sequential(
        nn.ZeroPad2d(1), nn.Conv2d(2, 2, 3, bias=False), nn.ReLU(inplace=True), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(8, 4), nn.Softplus(), nn.Linear(4, 3),
    )  # fmt: skip


def _normalized() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(5, 4), nn.LayerNorm(4), nn.Tanh(), nn.Linear(4, 3))


FLAT, IMAGE = (5,), (2, 4, 4)
NETWORKS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "tanh": (lambda: _dense(nn.Tanh), FLAT),
    "selu": (lambda: _dense(nn.SELU), FLAT),
    "relu": (lambda: _dense(nn.ReLU), FLAT),
    "convolution": (_convolution, IMAGE),
    "pooling": (_pooling, IMAGE),
    "residual": (Residual, FLAT),
    "normalized": (_normalized, FLAT),
}
DENSE = ["tanh", "selu", "relu"]


def example(name: str, task: str = "classification", n: int = 13) -> TrainedModel:
    """An untrained network of that name with `n` training examples and 4 test examples."""
    build, shape = NETWORKS[name]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = Network(build().eval())
    generator = torch.Generator().manual_seed(1)
    inputs = torch.randn(n + 4, *shape, generator=generator, dtype=torch.float64)
    labels = torch.randint(0, 3, (n + 4,), generator=generator)
    values = torch.randn(n + 4, 3, generator=generator, dtype=torch.float64)
    targets = labels if task == "classification" else values
    return TrainedModel(
        network=network,
        loss=loss_for(task),
        test_loss=loss_for(task),
        decay={name: 0.1 * k for k, name in enumerate(network.layout.names)},
        parameters={n: p.detach().double() for n, p in network.module.named_parameters()},
        inputs=inputs[:n],
        targets=targets[:n],
        test_inputs=inputs[n:],
        test_targets=targets[n:],
    )


def autograd_hessian(model: TrainedModel) -> torch.Tensor:
    """The Hessian of the mean loss by torch's own double backward."""
    layout = model.network.layout

    def mean_loss(flat: torch.Tensor) -> torch.Tensor:
        return model.losses_at(layout, flat, model.inputs, model.targets).mean()

    found: torch.Tensor = torch.autograd.functional.hessian(mean_loss, model.vector(layout))
    return found


def autograd_jacobian(model: TrainedModel) -> torch.Tensor:
    """The Jacobian (n, k, P) of the outputs by torch's own backward."""
    layout = model.network.layout

    def outputs(flat: torch.Tensor) -> torch.Tensor:
        return model.network(layout.unflatten(flat), model.inputs)

    found: torch.Tensor = torch.autograd.functional.jacobian(outputs, model.vector(layout))
    return found


def autograd_gradients(model: TrainedModel) -> torch.Tensor:
    """The gradient (n, P) of each example's loss by torch's own backward."""
    layout = model.network.layout

    def losses(flat: torch.Tensor) -> torch.Tensor:
        return model.losses_at(layout, flat, model.inputs, model.targets)

    found: torch.Tensor = torch.autograd.functional.jacobian(losses, model.vector(layout))
    return found
