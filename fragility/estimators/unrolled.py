"""Derivatives of the training itself."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor

from fragility.errors import MethodFailure
from fragility.estimators._gradients import gradients_of_tests
from fragility.estimators._trajectory import followed
from fragility.estimators.base import Estimate, ModelEstimator
from fragility.numerics.curvature import CurvatureMatrix
from fragility.numerics.gradients import block_rows, gradient_products
from fragility.numerics.history import Adjoint, History, Step
from fragility.numerics.trained import TrainedModel

_COPIES = 16
"""Adjoints, and what a step makes of them, in copies of the parameters for each test point."""


class Unrolled(ModelEstimator):
    """The derivative of the trained model in the weight of each training example.

    The score is -(1/n) d f_t(theta_S) / d w_i, where theta_S is what S steps of training make of
    J = sum_i w_i l_i + penalty from the same start, in the same order: derivatives are carried back
    through every step as it was taken, by products with the Hessian of the step's batch and by the
    optimizer's own rule, clipping and decoupled weight decay included. Learning rates and the
    number of steps count as constants. It predicts to first order what a retraining with `start:
    cold`, `order: shared` and `removal: zero_weight` measures, whether or not the model is at an
    optimum; at one it has forgotten its start and agrees with `exact`. An average of iterates
    (`swa`) is not followed.

    Valid when: training is by sgd or adam and depends smoothly on the weights. A removal
        that moves a ReLU's kink or the step at which a learning rate falls acts by a jump; so does
        one that turns the sign of a gradient's coordinate in the first steps of adam, which are as
        long as the learning rate however small the gradient: a larger `epsilon` smooths them.
        Training is taken once more in its own precision, and must end within 1 % of its length from
        the model; derivatives are in float64.
    Cost: two trainings, and for each step and test point a product with the Hessian of the batch,
        about two gradients. Memory for S steps: about 7 sqrt(S) times the parameters, and 16 times
        for each test point, of which as many go together as fit 128 MiB; each further block of
        them takes another training.
    Reference: Bae et al. 2024 (SOURCE), which approximates this; Ilyas and Engstrom 2025 (MAGIC);
        Hara et al. 2019, for sgd.
    """

    kind: Literal["unrolled"] = "unrolled"
    parameters: Literal["all"] = "all"
    """What was trained; a training cannot be followed in some of its parameters alone."""

    def estimate(self, model: TrainedModel, test_points: Tensor) -> Estimate:
        """Returns the scores of all training points, and how closely the training was repeated."""
        history, distance = followed(model, self.kind)
        model = replace(model.to(torch.float64), history=None)
        together = block_rows(model, _COPIES * model.network.layout.size)
        scores = torch.cat(
            [_scores(model, history, points) for points in torch.split(test_points, together)]
        )
        if not bool(torch.isfinite(scores).all()):
            raise MethodFailure(
                "the derivatives of the training are not finite: they grew from step to step.",
                "Lower the learning rate, or train for fewer steps.",
            )
        return Estimate(scores, {"replay_distance": distance, "replay_steps": len(history.rates)})


def _scores(model: TrainedModel, history: History, test_points: Tensor) -> Tensor:
    layout = model.network.layout
    adjoint = Adjoint(gradients_of_tests(model, layout, test_points))
    scores = adjoint.theta.new_zeros(len(test_points), model.n)
    for segment in reversed(history.segments):
        for step in reversed(history.replay(segment.start, segment.stop)):
            batch = _at(model, step)
            before, slope = history.pull(step, adjoint)
            rows = slice(None) if step.rows is None else step.rows
            # Weight 1/n counts 1/b in the batch; removal takes it away.
            scores[:, rows] -= gradient_products(batch, layout, slope) / batch.n
            moved = CurvatureMatrix(batch, layout).product(slope)
            adjoint = replace(before, theta=before.theta + moved)
    return scores


def _at(model: TrainedModel, step: Step) -> TrainedModel:
    """Returns the objective of a step, at its place: that of its examples alone."""
    parameters = model.network.layout.unflatten(step.theta.to(torch.float64))
    model = replace(model, parameters=parameters)
    if step.rows is None:
        return model
    return replace(model, inputs=model.inputs[step.rows], targets=model.targets[step.rows])
