"""Small trained models that estimators are tried on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import Literal

import torch
from torch import Tensor

from fragility.datasets.base import Task
from fragility.models.base import Model
from fragility.models.linear import Linear
from fragility.models.mlp import MLP
from fragility.numerics.losses import loss_for
from fragility.numerics.trained import TrainedModel
from fragility.regularizers.weight_decay import WeightDecay
from fragility.training.full_batch import FullBatch
from fragility.training.optimizers.sgd import SGD
from fragility.training.replay import Replay
from fragility.training.schedules.none import Constant

N_TRAIN, N_TEST, FEATURES = 24, 5, 3

_STEPS, _RATE, _STRENGTH = 25, 0.4, 1.0
"""So many steps at this rate end a linear model of this weight decay within 1e-5 of its optimum."""


@dataclass(frozen=True, eq=False)
class Problem:
    """Examples and a model trained on them; inputs are (n, 3), targets as the loss has them.

    Training is gradient descent on the full batch, which estimators may follow.
    """

    name: str
    task: Task
    model: Model
    outputs: int
    inputs: Tensor
    targets: Tensor
    test_inputs: Tensor
    test_targets: Tensor
    strength: float = _STRENGTH
    dtype: Literal["float32", "float64"] = "float64"

    @cached_property
    def trained(self) -> TrainedModel:
        """The trained model with its examples and its history."""
        training = FullBatch(
            steps=_STEPS,
            optimizer=SGD(learning_rate=_RATE),
            schedule=Constant(),
            dtype=self.dtype,
        )
        shape = tuple(self.inputs.shape[1:])
        start = self.model.initial(shape, self.outputs, 0, training.torch_dtype)
        network = self.model.network(shape, self.outputs)
        untrained = TrainedModel(
            network=network,
            loss=loss_for(self.task),
            test_loss=loss_for(self.task),
            decay=WeightDecay(strength=self.strength).decay(network.layout),
            parameters=start,
            inputs=self.inputs,
            targets=self.targets,
            test_inputs=self.test_inputs,
            test_targets=self.test_targets,
        ).to(training.torch_dtype)
        history = Replay(training, untrained, lambda: start, order=0)
        parameters = network.layout.unflatten(history.end)
        return replace(untrained, parameters=parameters, history=history, initial=lambda: start)

    def changed(self, name: str, change: Callable[[Tensor], Tensor]) -> Problem:
        """Returns the problem with a change of the rows of inputs and targets."""
        return replace(
            self,
            name=f"{self.name}, {name}",
            inputs=change(self.inputs),
            targets=change(self.targets),
        )


@cache
def general_problems() -> Sequence[Problem]:
    """Returns a convex problem of each task, a network, and a problem in float32."""
    softmax = _drawn("softmax regression", "classification", Linear(), outputs=3, seed=0)
    return (
        softmax,
        _drawn("least squares", "regression", Linear(), outputs=1, seed=1),
        replace(
            _drawn("a tanh network", "classification", _small_network(), outputs=3, seed=2),
            strength=0.01,
        ),
        replace(softmax, name="softmax regression in float32", dtype="float32"),
    )


@cache
def convex_problem(task: Task) -> Problem:
    """Returns a problem with one output, or with two classes: what has a sign has two sides."""
    name = "two classes" if task == "classification" else "least squares"
    return _drawn(name, task, Linear(), outputs=2 if task == "classification" else 1, seed=3)


@cache
def reordered(problem: Problem) -> tuple[Problem, Tensor]:
    """Returns the problem with its training examples in another order, and that order (n,)."""
    order = torch.randperm(len(problem.inputs), generator=torch.Generator().manual_seed(0))
    return problem.changed(
        "its training examples in another order", lambda rows: rows[order]
    ), order


@cache
def doubled(problem: Problem) -> Problem:
    """Returns the problem with every training example twice."""
    return problem.changed("every training example twice", lambda rows: torch.cat([rows, rows]))


@cache
def planted(problem: Problem, flipped: bool) -> Problem:
    """Returns the problem with test point 0 as one more training example, the last.

    Flipped, it has the other class, or a target as far on the other side of what the model says.
    """
    target = problem.test_targets[:1]
    if flipped and problem.task == "classification":
        target = 1 - target
    elif flipped:
        model = problem.trained
        target = 2 * model.network(model.parameters, model.test_inputs[:1]) - target
    name = "flipped" if flipped else "duplicated"
    return replace(
        problem,
        name=f"{problem.name}, test point 0 {name} in the training set",
        inputs=torch.cat([problem.inputs, problem.test_inputs[:1]]),
        targets=torch.cat([problem.targets, target]),
    )


def _small_network() -> Model:
    return MLP(hidden=(4,), activation="tanh")


def _drawn(name: str, task: Task, model: Model, outputs: int, seed: int) -> Problem:
    """Returns normal inputs, and targets that depend on them with noise."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    inputs = 0.7 * normal(N_TRAIN + N_TEST, FEATURES)
    noisy = 2 * inputs @ normal(FEATURES, outputs) + normal(N_TRAIN + N_TEST, outputs)
    targets = noisy.argmax(dim=1) if task == "classification" else noisy
    return Problem(
        *(name, task, model, outputs),
        *(inputs[:N_TRAIN], targets[:N_TRAIN], inputs[N_TRAIN:], targets[N_TRAIN:]),
    )
