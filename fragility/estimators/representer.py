"""Representer points: a regularized last layer as a sum over its training examples."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from fragility.errors import MethodFailure
from fragility.estimators._gradients import GradientEstimator, gradients_of_tests
from fragility.estimators.base import Estimate
from fragility.numerics.gradients import gradient_products
from fragility.numerics.network import Layout
from fragility.numerics.trained import TrainedModel

STATIONARY = 0.1
"""Largest share of the last layer that its decomposition may leave unexplained."""


class Representer(GradientEstimator):
    """The change of the test loss when one example's term is taken out of the last layer.

    Where the objective is stationary in a last layer W with penalty (s/2) |W|^2, that layer is a
    sum over the training examples, W = sum_i a_i phi_i^T with a_i = -(1/(s n)) dl_i/do_i, phi the
    layer's inputs and o the outputs, so that o_t = sum_i a_i (phi_i^T phi_t). The representer value
    of the paper is a_i (phi_i^T phi_t), the part of the outputs that example i holds up; the score
    is what its loss does to the test loss, to first order: -(df_t/do_t)^T a_i (phi_i^T phi_t). It
    equals (1/n) grad f_t^T grad l_i / s, an influence function with the penalty as its whole
    curvature: the other examples do not adapt, so that effects of retraining are smaller. A bias
    that is not penalized has no decomposition and counts as fixed.

    Valid when: the last layer has weight decay and is at its optimum; `representer_residual` is
        |W - sum_i a_i phi_i^T| / |W|, and more than 0.1 is refused.
    Cost: a gradient of every example's loss in the last layer.
    Reference: Yeh et al. 2018, theorem 3.1, with s = 2 lambda.
    """

    kind: Literal["representer"] = "representer"
    parameters: Literal["last_layer", "last_layer_weight"] = "last_layer"
    """The layer that is decomposed: `last_layer`, or `last_layer_weight` with its bias fixed."""

    def estimate(self, model: TrainedModel, test_points: Tensor) -> Estimate:
        """Returns the scores of all training points, with how much of the layer they explain."""
        if model.penalties:
            raise MethodFailure(
                "`representer` takes a last layer apart by its weight decay alone, and this "
                "objective has other penalties.",
                "Use another estimator.",
            )
        model, layout = self.followed(model)
        layout = layout.restrict([name for name in layout.names if model.decay[name] > 0])
        if not layout.names:
            raise MethodFailure(
                "`representer` takes a last layer apart by its weight decay, and it has none.",
                "Use `regularization: {kind: weight_decay}`.",
            )
        rhs = gradients_of_tests(model, layout, test_points)
        residual = unexplained(model, layout)
        if not residual <= STATIONARY:
            raise MethodFailure(
                f"the training examples explain the last layer up to a relative residual of "
                f"{residual:.2g} (at most {STATIONARY:g}): it is not at its optimum.",
                "Train longer, to a smaller `gradient_norm`, or raise the weight decay.",
            )
        products = gradient_products(model, layout, rhs / model.decay_vector(layout))
        return Estimate(products / model.n, {"representer_residual": residual})


def unexplained(model: TrainedModel, layout: Layout) -> float:
    """Returns |W - sum_i a_i phi_i^T| / |W|: the objective's gradient over s, against W."""
    left = model.mean_gradient(layout) / model.decay_vector(layout)
    return float(left.norm() / model.vector(layout).norm())
