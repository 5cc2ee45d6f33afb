"""Influence functions in closed form: the mean of the inverses for the inverse of the mean."""

from __future__ import annotations

from itertools import groupby
from typing import Literal

import torch
from pydantic import NonNegativeFloat
from torch import Tensor

from fragility.errors import MethodFailure
from fragility.estimators._gradients import (
    GradientEstimator,
    gradients_of_tests,
    training_gradients,
)
from fragility.estimators._influence import RelativeDamping
from fragility.estimators.base import Estimate
from fragility.numerics.gradients import gradient_products
from fragility.numerics.network import Layout
from fragility.numerics.trained import TrainedModel


class DataInf(GradientEstimator):
    """Influence functions with each layer's empirical Fisher matrix inverted example by example.

    In each layer the inverse of the damped mean, ((1/n) sum_i g_i g_i^T + L)^-1 with g_i the
    gradient of example i, is replaced by the mean of the damped inverses, (1/n) sum_i (g_i g_i^T +
    L)^-1, each of which is known: L^-1 - L^-1 g_i g_i^T L^-1 / (1 + g_i^T L^-1 g_i). L is the
    damping plus the penalty's diagonal, and layers count as unrelated. The score is the sum over
    layers of (1/n) grad f_t^T (that mean) grad l_i.

    Valid when: the damping is large against the gradients' squares, where the order is that of
        `grad_dot` in each layer, or layers are small: the bound of the swap's error grows with the
        square of their size.
    Cost: three passes with a gradient of every example, two where `damping` is a number.
    Reference: Kwon et al. 2023, equation 5; there L = 0.1 times the layer's mean squared gradient.
    """

    kind: Literal["datainf"] = "datainf"
    damping: NonNegativeFloat | RelativeDamping = RelativeDamping(relative=0.1)
    """Added to every eigenvalue: a number in the unit of the Hessian of the mean loss, or
    `{relative: x}`, in each layer a multiple of the mean eigenvalue of its Fisher matrix."""
    curvature_includes_regularization: bool = True
    """Whether the penalty's second derivative is part of the curvature; the paper has none."""

    def estimate(self, model: TrainedModel, test_points: Tensor) -> Estimate:
        """Returns the scores of all training points."""
        model, layout = self.followed(model)
        rhs = gradients_of_tests(model, layout, test_points)
        shift = self._shift(model, layout)
        solved = mean_of_inverses(model, layout, shift, rhs)
        return Estimate(
            gradient_products(model, layout, solved) / model.n,
            {"damping_smallest": float(shift.min()), "damping_largest": float(shift.max())},
        )

    def _shift(self, model: TrainedModel, layout: Layout) -> Tensor:
        """Returns what each parameter's place on the diagonal is raised by, (P,)."""
        shift = model.decay_vector(layout)
        if not self.curvature_includes_regularization:
            shift = torch.zeros_like(shift)
        if isinstance(self.damping, RelativeDamping):
            moments = second_moments(model, layout)
            for part in layers(layout).values():
                shift[part] += self.damping.relative * moments[part].mean()
        else:
            shift += self.damping
        for name, part in layers(layout).items():
            if not bool((shift[part] > 0).all()):
                raise MethodFailure(
                    f"layer `{name}` has neither damping nor weight decay, without which the "
                    "inverse of a single example's matrix does not exist.",
                    "Give a number above 0 as `damping`, or add weight decay.",
                )
        return shift


def layers(layout: Layout) -> dict[str, slice]:
    """Returns where the parameters of each module lie in a flat vector."""
    found: dict[str, slice] = {}
    start = 0
    sized = zip(layout.names, layout.sizes, strict=True)
    for owner, group in groupby(sized, key=lambda pair: pair[0].rpartition(".")[0]):
        size = sum(entry[1] for entry in group)
        found[owner] = slice(start, start + size)
        start += size
    return found


def second_moments(model: TrainedModel, layout: Layout) -> Tensor:
    """Returns the mean over the training examples of each squared derivative, (P,)."""
    total = torch.zeros_like(model.vector(layout))
    for block in training_gradients(model, layout, 0):
        total += block.square().sum(dim=0)
    return total / model.n


def mean_of_inverses(model: TrainedModel, layout: Layout, shift: Tensor, rhs: Tensor) -> Tensor:
    """Returns (1/n) sum_i (g_i g_i^T + diag(shift))^-1, layer by layer, times rows (T, P)."""
    start = rhs / shift
    total = torch.zeros_like(rhs)
    for block in training_gradients(model, layout, len(rhs)):
        for part in layers(layout).values():
            gradients, scaled = block[:, part], block[:, part] / shift[part]
            weights = (start[:, part] @ gradients.T) / (1 + (gradients * scaled).sum(dim=1))
            total[:, part] += weights @ scaled
    return start - total / model.n
