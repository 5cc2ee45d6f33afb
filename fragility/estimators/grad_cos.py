"""Cosines between gradients."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from fragility.estimators._gradients import GradientEstimator, gradients_of_tests
from fragility.estimators.base import Estimate
from fragility.numerics.gradients import gradient_products
from fragility.numerics.squares import square_products
from fragility.numerics.trained import TrainedModel


class GradCos(GradientEstimator):
    """Cosines between the test example's gradient and each training example's.

    The score is grad f_t^T grad l_i / (|grad f_t| |grad l_i|), in [-1, 1] and without a unit: the
    size of an effect is not predicted, and examples of large loss have no advantage over others.
    It is 0 where one of the gradients is. As with `grad_dot`, positive: the example was helping.

    Valid when: only the order of the training examples of one test example is asked for.
    Cost: two gradients of every example.
    Reference: Charpiat et al. 2019; Hanawa et al. 2021, where it is called GC.
    """

    kind: Literal["grad_cos"] = "grad_cos"

    def estimate(self, model: TrainedModel, test_points: Tensor) -> Estimate:
        """Returns the scores of all training points."""
        model, layout = self.followed(model)
        rhs = gradients_of_tests(model, layout, test_points)
        squares = square_products(model, layout, torch.ones_like(rhs[:1]))
        products = gradient_products(model, layout, rhs / divisors(rhs.norm(dim=1, keepdim=True)))
        return Estimate(products / divisors(squares.sqrt()))


def divisors(lengths: Tensor) -> Tensor:
    """Returns lengths to divide by: 1 in the place of 0."""
    return torch.where(lengths == 0, torch.ones_like(lengths), lengths)
