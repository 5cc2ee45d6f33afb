"""Small trained models that tests share."""

from __future__ import annotations

import torch

from fragility.models.base import Model
from fragility.numerics.losses import loss_for
from fragility.numerics.stack import StackProblem
from fragility.numerics.trained import TrainedModel
from fragility.regularizers.weight_decay import WeightDecay
from fragility.training import Fit, Recorder, Start
from fragility.training.full_batch import FullBatch


def data(
    task: str, n: int = 40, features: int = 5, outputs: int = 3, seed: int = 0
) -> tuple[torch.Tensor, torch.Tensor]:
    """Standard normal inputs, and targets that depend on them with noise."""
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(n, features, generator=generator, dtype=torch.float64)
    signal = inputs @ torch.randn(features, outputs, generator=generator, dtype=torch.float64)
    noisy = signal + torch.randn(n, outputs, generator=generator, dtype=torch.float64)
    return inputs, noisy if task == "regression" else noisy.argmax(dim=1)


def converging() -> FullBatch:
    """Training to the rounding error of float64."""
    return FullBatch.model_validate(
        {
            "kind": "full_batch",
            "steps": 3000,
            "gradient_norm": 1e-11,
            "dtype": "float64",
            "optimizer": {"kind": "lbfgs"},
        }
    )


def trained(
    model: Model,
    task: str,
    decay: WeightDecay,
    *,
    n: int = 40,
    outputs: int = 3,
    training: FullBatch | None = None,
) -> TrainedModel:
    """A model trained on `data`; the last 8 of n + 8 examples are the test set."""
    inputs, targets = data(task, n + 8, outputs=outputs)
    shape, count = tuple(inputs.shape[1:]), outputs
    network = model.network(shape, count)
    start = model.initial(shape, count, 0, torch.float64)
    untrained = TrainedModel(
        network=network,
        loss=loss_for(task),
        test_loss=loss_for(task),
        decay=decay.decay(network.layout),
        parameters=start,
        inputs=inputs[:n],
        targets=targets[:n],
        test_inputs=inputs[n:],
        test_targets=targets[n:],
    )
    weights = torch.full((1, n), 1 / n, dtype=torch.float64)
    fit = fit_stack(untrained, weights, training or converging())
    return with_parameters(untrained, fit.theta[0])


def fit_stack(model: TrainedModel, weights: torch.Tensor, training: FullBatch) -> Fit:
    """Trains one model for each row of weights, from the model's parameters."""
    layout = model.network.layout
    problem = StackProblem(
        model.network,
        model.loss,
        layout,
        {},
        model.inputs,
        model.targets,
        weights,
        model.decay_vector(layout).expand(len(weights), -1),
    )
    start = model.vector(layout).expand(len(weights), -1)
    return training.fit([training] * len(weights), problem, Start(start), Recorder())


def with_parameters(model: TrainedModel, flat: torch.Tensor) -> TrainedModel:
    """The same model at another point."""
    from dataclasses import replace

    return replace(model, parameters=model.network.layout.unflatten(flat))


def test_losses(model: TrainedModel) -> torch.Tensor:
    """The loss of each test example."""
    return model.losses_at(
        model.network.layout,
        model.vector(model.network.layout),
        model.test_inputs,
        model.test_targets,
    )


test_losses.__test__ = False  # type: ignore[attr-defined]
