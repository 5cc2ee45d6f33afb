"""The linear model: softmax regression or least squares."""

from __future__ import annotations

from math import prod
from typing import Literal

from torch import nn

from fragility.models.base import Model


class Linear(Model):
    """A linear model with bias: softmax regression for classes, least squares for numbers.

    The loss follows from the dataset's task. With a weight decay above zero the optimum is unique,
    so that influence theory applies without reservation: the place to check a procedure first.

    Valid when: always; the reference case of every other model.
    Cost: inputs x outputs parameters.
    Reference: Koh and Liang 2017, section 4.1.
    """

    kind: Literal["linear"] = "linear"

    def build(self, input_shape: tuple[int, ...], outputs: int) -> nn.Module:
        """Returns flatten and one affine layer."""
        return nn.Sequential(nn.Flatten(), nn.Linear(prod(input_shape), outputs))

    @property
    def convex(self) -> bool:
        """A linear model under either loss is convex."""
        return True
