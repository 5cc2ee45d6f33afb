"""Products of gradients."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from fragility.estimators._gradients import GradientEstimator, gradients_of_tests
from fragility.estimators.base import Estimate
from fragility.numerics.gradients import gradient_products
from fragility.numerics.trained import TrainedModel


class GradDot(GradientEstimator):
    """Products of the test example's gradient with each training example's, without curvature.

    The score is (1/n) grad f_t^T grad l_i: the first-order change of the test loss when the
    training example's term is left out of one step of gradient descent of length 1 on the mean
    loss. A step of another length, or a multiple of the identity as curvature, changes the scale
    and not the order.

    Valid when: one small step of gradient descent is removed; at an optimum it ranks the examples
        as influence functions do only where the curvature is the same in all directions.
    Cost: a gradient of every example.
    Reference: Charpiat et al. 2019; Pruthi et al. 2020, for one checkpoint and all examples.
    """

    kind: Literal["grad_dot"] = "grad_dot"

    def estimate(self, model: TrainedModel, test_points: Tensor) -> Estimate:
        """Returns the scores of all training points."""
        model, layout = self.followed(model)
        rhs = gradients_of_tests(model, layout, test_points)
        return Estimate(gradient_products(model, layout, rhs) / model.n)
