"""What estimators made from the gradients of single examples share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import torch
from torch import Tensor

from fragility.estimators._influence import diverged_model
from fragility.estimators.base import ModelEstimator
from fragility.numerics.gradients import (
    Scalars,
    example_blocks,
    gradients_at_tests,
    per_example_gradients,
)
from fragility.numerics.network import Layout
from fragility.numerics.reduction import on_features
from fragility.numerics.trained import TrainedModel


class GradientEstimator(ModelEstimator):
    """Scores from the gradients of single examples with respect to the parameters followed."""

    dtype: Literal["float32", "float64"] = "float64"
    """Precision of the gradients and of what is made from them."""

    def followed(self, model: TrainedModel) -> tuple[TrainedModel, Layout]:
        """Returns the model as a function of the parameters that are followed, and these."""
        layout = model.network.select(self.parameters)
        model = on_features(model, layout)
        return model.to(torch.float64 if self.dtype == "float64" else torch.float32), layout


def gradients_of_tests(
    model: TrainedModel, layout: Layout, test_points: Tensor, scalars: Scalars | None = None
) -> Tensor:
    """Returns the gradient of each test example's scalar (the loss, unless said), (T, P).

    Raises:
        MethodFailure: they are not finite.
    """
    gradients = gradients_at_tests(model, layout, test_points, scalars)
    if not bool(torch.isfinite(gradients).all()):
        raise diverged_model()
    return gradients


def training_gradients(
    model: TrainedModel, layout: Layout, directions: int, scalars: Scalars | None = None
) -> Iterator[Tensor]:
    """Yields the gradients of the training examples' scalars, (rows, P), in blocks.

    Each block and its products with so many directions fit the memory limit.
    """
    for inputs, targets in example_blocks(model, layout, directions):
        yield per_example_gradients(model, layout, inputs, targets, scalars)
