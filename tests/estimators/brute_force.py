"""Gradients of single examples by torch's own backward, and what is made from them by hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch

from fragility.numerics.trained import TrainedModel
from tests.numerics.networks import autograd_gradients

Rows = Callable[[TrainedModel], torch.Tensor]


def on_test(model: TrainedModel) -> TrainedModel:
    """The same model with its test examples in the place of the training examples."""
    return replace(model, inputs=model.test_inputs, targets=model.test_targets)


def both_gradients(
    model: TrainedModel, rows: Rows = autograd_gradients
) -> tuple[torch.Tensor, torch.Tensor]:
    """Gradients (T, P) of the test examples, and (n, P) of the training examples."""
    return rows(on_test(model)), rows(model)
