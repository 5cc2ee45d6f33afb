"""Small models with the history of their training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch

from fragility.models.base import Model
from fragility.numerics.losses import loss_for
from fragility.numerics.stack import StackProblem
from fragility.numerics.trained import TrainedModel
from fragility.regularizers.weight_decay import WeightDecay
from fragility.training import TRAINING, Fit, Recorder, Start, Training
from fragility.training.replay import history
from fragility.training.restraints import Restraints
from tests.problems import data, test_losses, with_parameters

ORDER = 5
FREE = Restraints()


def full_batch(optimizer: str, steps: int = 30, **fields: Any) -> Training:
    return training(optimizer, kind="full_batch", steps=steps, **fields)


def minibatch(optimizer: str, epochs: int = 6, **fields: Any) -> Training:
    return training(optimizer, kind="minibatch", batch_size=12, epochs=epochs, **fields)


OPTIMIZERS: dict[str, dict[str, Any]] = {
    "sgd": {"kind": "sgd", "learning_rate": 0.2},
    "slow": {"kind": "sgd", "learning_rate": 0.02},
    "momentum": {"kind": "sgd", "learning_rate": 0.05, "momentum": 0.9},
    "nesterov": {"kind": "sgd", "learning_rate": 0.05, "momentum": 0.8, "nesterov": True},
    "adam": {"kind": "adam", "learning_rate": 0.03},
    "amsgrad": {"kind": "adam", "learning_rate": 0.05, "betas": [0.7, 0.9], "amsgrad": True},
    "lbfgs": {"kind": "lbfgs"},
}


def training(optimizer: str, **fields: Any) -> Training:
    given = {"dtype": "float64", "optimizer": OPTIMIZERS[optimizer], **fields}
    return TRAINING.methods[given["kind"]].model_validate(given)


@dataclass(frozen=True)
class Run:
    """One training of an architecture on `problems.data`; the last 8 of n + 8 are the test set."""

    architecture: Model
    training: Training
    task: str = "classification"
    strength: float = 0.02
    n: int = 40
    outputs: int = 3
    silent_feature: int | None = None
    restraints: Restraints = FREE

    @cached_property
    def untrained(self) -> TrainedModel:
        inputs, targets = data(self.task, self.n + 8, outputs=self.outputs)
        if self.silent_feature is not None:
            inputs[:, self.silent_feature] = 0
        dtype = self.training.torch_dtype
        network = self.architecture.network((5,), self.outputs)
        model = TrainedModel(
            network=network,
            loss=loss_for(self.task),
            test_loss=loss_for(self.task),
            decay=WeightDecay(strength=self.strength).decay(network.layout),
            parameters=self.architecture.initial((5,), self.outputs, 0, dtype),
            inputs=inputs[: self.n],
            targets=targets[: self.n],
            test_inputs=inputs[self.n :],
            test_targets=targets[self.n :],
        )
        return model.to(dtype)

    def fit(self, weights: torch.Tensor, recorder: Recorder | None = None) -> Fit:
        """Trains one model for each row of weights, as a stack, from one start in one order."""
        model, layout = self.untrained, self.untrained.network.layout
        start = model.vector(layout).expand(len(weights), -1)
        problem = StackProblem(
            *(model.network, model.loss, layout, {}, model.inputs, model.targets),
            weights.to(start),
            model.decay_vector(layout).expand(len(weights), -1),
        )
        stack = [self.training] * len(weights)
        begin = Start(start, orders=[ORDER] * len(weights))
        restraints = [self.restraints] * len(weights)
        return self.training.fit(stack, problem, begin, recorder or Recorder(), restraints)

    def weights(self, rows: int = 1) -> torch.Tensor:
        return torch.full((rows, self.n), 1 / self.n, dtype=torch.float64)

    @cached_property
    def model(self) -> TrainedModel:
        """The base model, trained alone, with its history."""
        untrained = self.untrained
        trained = with_parameters(untrained, self.fit(self.weights()).theta[0])
        start = lambda: untrained.parameters  # noqa: E731
        followed = history(self.training, trained, start, ORDER, self.restraints)
        return replace(trained, history=followed)

    def slopes(self, points: Sequence[int], step: float = 1e-4) -> torch.Tensor:
        """Central differences of whole trainings: how test losses rise as weights fall, (T, m)."""
        weights = self.weights(2 * len(points))
        for row, point in enumerate(points):
            weights[2 * row, point] -= step / self.n
            weights[2 * row + 1, point] += step / self.n
        theta = self.fit(weights).theta
        moved = torch.stack([test_losses(with_parameters(self.untrained, one)) for one in theta])
        return (moved[0::2] - moved[1::2]).T / (2 * step)
