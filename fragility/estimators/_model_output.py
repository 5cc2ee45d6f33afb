"""The model output of TRAK: one number for each example, of which the loss is a function."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from fragility.errors import MethodFailure
from fragility.numerics.gradients import Scalars
from fragility.numerics.losses import CROSS_ENTROPY, SQUARED_ERROR
from fragility.numerics.trained import TrainedModel


@dataclass(frozen=True)
class ModelOutput:
    """A scalar m of each example and the loss l(m): dl/dm is minus `slope` times the residual.

    `scalars` and `residuals` map outputs (n, k) and targets to (n,).
    """

    scalars: Scalars
    residuals: Scalars
    slope: float


def margin(outputs: Tensor, targets: Tensor) -> Tensor:
    """Returns log(p / (1 - p)), with p the probability of the right class."""
    right = targets.unsqueeze(1)
    others = outputs.scatter(1, right, -torch.inf).logsumexp(dim=1)
    return outputs.gather(1, right).squeeze(1) - others


def _wrong(outputs: Tensor, targets: Tensor) -> Tensor:
    # 1 - p, without losing the digits of small ones.
    return torch.sigmoid(-margin(outputs, targets))


def _prediction(outputs: Tensor, targets: Tensor) -> Tensor:
    return outputs.squeeze(1)


def _residual(outputs: Tensor, targets: Tensor) -> Tensor:
    return (targets - outputs).squeeze(1)


MARGIN = ModelOutput(margin, _wrong, 1.0)
PREDICTION = ModelOutput(_prediction, _residual, 2.0)


def model_output(model: TrainedModel) -> ModelOutput:
    """Returns the margin of a classifier, or the prediction of a regression.

    Raises:
        MethodFailure: a regression has more than one output, or the model's loss is of more than
            its outputs' values.
    """
    if model.test_loss not in (CROSS_ENTROPY, SQUARED_ERROR):
        raise MethodFailure(
            "TRAK follows one number for each example, of which its loss is a function; this "
            f"model is trained by a {model.loss.name}.",
            "Use another estimator.",
        )
    if model.test_loss.name == "cross_entropy":
        return MARGIN
    outputs = model.targets.shape[1]
    if outputs > 1:
        raise MethodFailure(
            f"TRAK follows one number for each example; this regression has {outputs} outputs.",
            "Use a dataset with one target, or another estimator.",
        )
    return PREDICTION
