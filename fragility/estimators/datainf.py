"""Influence functions in closed form: the mean of the inverses for the inverse of the mean."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import Literal

import torch
from pydantic import NonNegativeFloat
from torch import Tensor

from fragility.errors import MethodFailure
from fragility.estimators._gradients import GradientEstimator, gradients_of_tests
from fragility.estimators._influence import RelativeDamping
from fragility.estimators.base import Estimate
from fragility.numerics.gradients import combined_gradients, gradient_products
from fragility.numerics.network import Layout
from fragility.numerics.squares import square_products
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
    Cost: for each layer three gradients of every example, and two more for all.
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
        shift = model.penalty_curvature(layout)
        if not self.curvature_includes_regularization:
            shift = torch.zeros_like(shift)
        if isinstance(self.damping, RelativeDamping):
            for layer, mean in zip(layers(layout), mean_squares(model, layout), strict=True):
                shift[layer.place] += self.damping.relative * mean
        else:
            shift += self.damping
        for layer in layers(layout):
            if not bool((shift[layer.place] > 0).all()):
                raise MethodFailure(
                    f"layer `{layer.name}` has neither damping nor weight decay, without which the "
                    "inverse of a single example's matrix does not exist.",
                    "Give a number above 0 as `damping`, or add weight decay.",
                )
        return shift


@dataclass(frozen=True)
class Layer:
    """The parameters of one module: their place in the flat vector, and their own layout."""

    name: str
    place: slice
    layout: Layout


def layers(layout: Layout) -> list[Layer]:
    """Returns the modules that own some parameters, in their order."""
    found: list[Layer] = []
    start = 0
    for owner, names in groupby(layout.names, key=lambda name: name.rpartition(".")[0]):
        own = layout.restrict(list(names))
        found.append(Layer(owner, slice(start, start + own.size), own))
        start += own.size
    return found


def mean_squares(model: TrainedModel, layout: Layout) -> list[float]:
    """Returns the mean squared derivative of each layer, over examples and parameters."""
    rows = model.vector(layout).new_zeros(len(layers(layout)), layout.size)
    for row, layer in zip(rows, layers(layout), strict=True):
        row[layer.place] = 1 / layer.layout.size
    means: list[float] = square_products(model, layout, rows).mean(dim=1).tolist()
    return means


def mean_of_inverses(model: TrainedModel, layout: Layout, shift: Tensor, rhs: Tensor) -> Tensor:
    """Returns (1/n) sum_i (g_i g_i^T + diag(shift))^-1, layer by layer, times rows (T, P)."""
    solved = rhs / shift
    for layer in layers(layout):
        start, own = solved[:, layer.place].clone(), shift[layer.place]
        lengths = square_products(model, layer.layout, 1 / own.unsqueeze(0))
        weights = gradient_products(model, layer.layout, start) / (1 + lengths)
        solved[:, layer.place] -= combined_gradients(model, layer.layout, weights) / (own * model.n)
    return solved
