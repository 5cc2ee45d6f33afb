"""Models whose outputs are one affine layer of fixed features: softmax regression, least squares.

All models see the same features, so that a pass over the stack is two matrix products of all
models' rows at once, taken in blocks of examples that stay in the processor's cache.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from fragility.numerics.convex.base import ConvexStack, Linearization, Preconditioner
from fragility.numerics.convex.output_losses import OUTPUT_LOSSES, OutputLoss
from fragility.numerics.convex.preconditioners import factor_price, precondition_affine
from fragility.numerics.network import Layout
from fragility.numerics.stack import StackProblem

TILE_BYTES = 8 * 2**20
"""Outputs of one block of examples for all models."""


@dataclass(frozen=True)
class AffineStack(ConvexStack):
    """K affine models of shared features (n, D), a constant 1 among them where there is a bias.

    Coordinates are (c, D), output by output, flattened. `weights` (K, n); `decay` (K, c D).
    """

    features: Tensor
    targets: Tensor
    loss: OutputLoss
    weights: Tensor
    decay: Tensor
    rows: int
    """Number of examples in one block."""

    @property
    def models(self) -> int:
        """Number of models."""
        return self.weights.shape[0]

    @property
    def size(self) -> int:
        """Number of coordinates."""
        return self.decay.shape[1]

    @property
    def quadratic(self) -> bool:
        """Whether the loss is."""
        return self.loss.quadratic

    @property
    def outputs(self) -> int:
        """Number of outputs c."""
        return self.size // self.features.shape[1]

    @property
    def has_optimum(self) -> bool:
        """Whether every strength is above zero, or the loss is quadratic."""
        return self.quadratic or bool((self.decay > 0).all())

    @property
    def bytes_a_model(self) -> int:
        """The outputs of all examples, before and after a step."""
        return 2 * self.weights.shape[1] * self.outputs * self.weights.element_size()

    @property
    def price(self) -> float:
        """Products of matrices that its preconditioner takes, against the two of a product."""
        return factor_price(self.outputs, self.features.shape[1])

    def evaluate(self, theta: Tensor) -> Linearization:
        """Returns objectives and gradients; the curvature is a function of the outputs.

        Where all models are at one point, as at a warm start, its outputs are computed once.
        """
        shared = theta[:1] if bool((theta == theta[0]).all()) else theta
        rows, models = self._rows(shared), len(theta)
        data_loss = theta.new_zeros(models)
        gradient = theta.new_zeros(self.outputs * models, self.features.shape[1])
        curvature = []
        for features, targets, weights in self._tiles():
            outputs = (rows @ features.T).view(self.outputs, len(shared), -1)
            losses, slopes, bend = self.loss.linearize(outputs, targets, weights)
            data_loss += losses
            gradient.addmm_(slopes.view(len(gradient), -1), features)
            curvature.append(bend.expand(-1, models, -1).transpose(0, 1))
        penalty = 0.5 * (self.decay * theta.square()).sum(dim=1)
        slope = self._flat(gradient, models) + self.decay * theta
        return Linearization(data_loss + penalty, data_loss, slope, curvature)

    def product(self, at: Linearization, tangent: Tensor) -> Tensor:
        """Returns the Hessians times `tangent`: two matrix products with the features."""
        rows, models = self._rows(tangent), len(tangent)
        result = torch.zeros_like(rows)
        for (features, _, weights), bend in zip(self._tiles(), at.curvature, strict=True):
            outputs = (rows @ features.T).view(self.outputs, models, -1)
            bent = self.loss.product(bend.transpose(0, 1), outputs).mul_(weights)
            result.addmm_(bent.view(len(rows), -1), features)
        return self._flat(result, models) + self.decay * tangent

    def _rows(self, theta: Tensor) -> Tensor:
        """Returns (K, c D) as (c K, D)."""
        return theta.view(len(theta), self.outputs, -1).transpose(0, 1).flatten(0, 1)

    def _flat(self, rows: Tensor, models: int) -> Tensor:
        """Returns (c K, D) as (K, c D), without what rounding adds where no loss changes."""
        return self._across(rows.view(self.outputs, models, -1).transpose(0, 1).flatten(1))

    def _across(self, slope: Tensor) -> Tensor:
        """Returns the slope without what rounding adds along directions that change no loss."""
        if not self.loss.ignores_common_shift:
            return slope
        by_output = slope.view(len(slope), self.outputs, -1)
        return (by_output - by_output.mean(dim=1, keepdim=True)).flatten(1)

    def shift(self, theta: Tensor, direction: Tensor) -> Tensor:
        """Returns the largest change of an output, a shift of all outputs not counted."""
        rows = self._across(direction).view(-1, self.features.shape[1])
        largest = [
            (rows @ features.T).abs().view(len(theta), -1).amax(dim=1)
            for features, _, _ in self._tiles()
        ]
        return torch.stack(largest).amax(dim=0)

    def _tiles(self) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Yields blocks of features, targets and weights."""
        return zip(
            torch.split(self.features, self.rows),
            torch.split(self.targets, self.rows),
            torch.split(self.weights, self.rows, dim=1),
            strict=True,
        )

    def precondition(self, theta: Tensor) -> Preconditioner:
        """Returns the factored Hessian, or one whose leading directions alone are factored."""
        mean = replace(
            self,
            weights=self.weights.mean(dim=0, keepdim=True),
            decay=self.decay.mean(dim=0, keepdim=True),
        )
        bend = mean.evaluate(theta.unsqueeze(0)).curvature
        entries = [[self._entry(bend, a, b) for b in range(a + 1)] for a in range(self.outputs)]
        return precondition_affine(self.features, mean.weights[0], mean.decay[0], entries)

    def _entry(self, curvature: Sequence[Tensor], a: int, b: int) -> Tensor | None:
        parts = [self.loss.entry(part.transpose(0, 1), a, b) for part in curvature]
        known = [part for part in parts if part is not None]
        return torch.cat(known) if known else None

    def select(self, index: Tensor | slice) -> AffineStack:
        """Returns some of the models; the features are shared."""
        return replace(self, weights=self.weights[index], decay=self.decay[index])


def is_affine(problem: StackProblem) -> bool:
    """Whether all that is trained is one affine layer right after the (flattened) inputs."""
    kinds = [type(layer) for layer in problem.network.module.children()]
    flat = problem.inputs.dim() - problem.own_inputs == 2
    return (
        isinstance(problem.network.module, nn.Sequential)
        and (kinds == [nn.Flatten, nn.Linear] or (flat and kinds == [nn.Linear]))
        and problem.layout == problem.network.layout
        and problem.loss.name in OUTPUT_LOSSES
        and not problem.terms
    )


def affine_stack(problem: StackProblem) -> AffineStack:
    """Returns the stack of an affine problem whose models share their inputs."""
    inputs = problem.inputs[0] if problem.own_inputs else problem.inputs
    features = inputs.flatten(1)
    if len(problem.layout.names) > 1:
        features = torch.cat([features, features.new_ones(len(features), 1)], dim=1)
    decay = problem.decay.expand(-1, problem.layout.size)
    bytes_a_row = problem.models * problem.layout.shapes[0][0] * features.element_size()
    return AffineStack(
        features.contiguous(),
        problem.targets,
        OUTPUT_LOSSES[problem.loss.name],
        problem.weights,
        to_rows(problem.layout, decay),
        max(64, TILE_BYTES // bytes_a_row),
    )


def to_rows(layout: Layout, flat: Tensor) -> Tensor:
    """Returns flat vectors (K, P) of a layer output by output, each weight row with its bias."""
    weight, *bias = layout.unflatten(flat).values()
    return torch.cat([weight, *(b.unsqueeze(-1) for b in bias)], dim=-1).flatten(1)


def from_rows(layout: Layout, rows: Tensor) -> Tensor:
    """Returns flat vectors (K, P) in the layout's order: the inverse of `to_rows`."""
    outputs, inputs = layout.shapes[0]
    by_output = rows.view(len(rows), outputs, -1)
    parts = [by_output[..., :inputs].flatten(1), by_output[..., inputs:].flatten(1)]
    return torch.cat(parts, dim=1)
