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
from fragility.numerics.convex.preconditioners import precondition_affine
from fragility.numerics.network import Layout
from fragility.numerics.stack import StackProblem

TILE_BYTES = 4 * 2**20
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
    def strictly_convex(self) -> bool:
        """Whether every strength is above zero."""
        return bool((self.decay > 0).all())

    @property
    def bytes_a_model(self) -> int:
        """The outputs of all examples, before and after a step."""
        return 2 * self.weights.shape[1] * self.outputs * self.weights.element_size()

    @property
    def price(self) -> float:
        """As c (c + 1) / 2 products of D columns, against two of c columns."""
        return self.size / 4

    def evaluate(self, theta: Tensor) -> Linearization:
        """Returns objectives and gradients; the curvature is a function of the outputs."""
        models, c = len(theta), self.outputs
        rows = theta.reshape(models * c, -1)
        data_loss = theta.new_zeros(models)
        gradient = torch.zeros_like(rows)
        curvature = []
        for features, targets, weights in self._tiles():
            outputs = (rows @ features.T).view(models, c, -1)
            losses, residual, bend = self.loss.linearize(outputs, targets)
            data_loss += (losses * weights).sum(dim=1)
            residual *= weights.unsqueeze(1)
            gradient.addmm_(residual.view(models * c, -1), features)
            curvature.append(bend)
        penalty = 0.5 * (self.decay * theta.square()).sum(dim=1)
        slope = gradient.view(models, -1) + self.decay * theta
        return Linearization(data_loss + penalty, data_loss, slope, curvature)

    def product(self, at: Linearization, tangent: Tensor) -> Tensor:
        """Returns the Hessians times `tangent`: two matrix products with the features."""
        models, c = len(tangent), self.outputs
        rows = tangent.reshape(models * c, -1)
        result = torch.zeros_like(rows)
        for (features, _, weights), bend in zip(self._tiles(), at.curvature, strict=True):
            bent = self.loss.product(bend, (rows @ features.T).view(models, c, -1))
            bent *= weights.unsqueeze(1)
            result.addmm_(bent.view(models * c, -1), features)
        return result.view(models, -1) + self.decay * tangent

    def _tiles(self) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Yields blocks of features, targets and weights."""
        bytes_a_row = self.models * self.outputs * self.weights.element_size()
        rows = max(64, TILE_BYTES // bytes_a_row)
        return zip(
            torch.split(self.features, rows),
            torch.split(self.targets, rows),
            torch.split(self.weights, rows, dim=1),
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
        parts = [self.loss.entry(part, a, b) for part in curvature]
        known = [part for part in parts if part is not None]
        return torch.cat(known) if known else None

    def select(self, index: Tensor | slice) -> AffineStack:
        """Returns some of the models; the features are shared."""
        return replace(self, weights=self.weights[index], decay=self.decay[index])


def is_affine(problem: StackProblem) -> bool:
    """Whether all that is trained is one affine layer right after the (flattened) inputs."""
    layers = list(problem.network.module.children())
    return (
        isinstance(problem.network.module, nn.Sequential)
        and [type(layer) for layer in layers] == [nn.Flatten, nn.Linear]
        and problem.layout == problem.network.layout
        and problem.loss.name in OUTPUT_LOSSES
    )


def affine_stack(problem: StackProblem) -> AffineStack:
    """Returns the stack of an affine problem whose models share their inputs."""
    inputs = problem.inputs[0] if problem.own_inputs else problem.inputs
    features = inputs.flatten(1)
    if len(problem.layout.names) > 1:
        features = torch.cat([features, features.new_ones(len(features), 1)], dim=1)
    decay = problem.decay.expand(-1, problem.layout.size)
    return AffineStack(
        features.contiguous(),
        problem.targets,
        OUTPUT_LOSSES[problem.loss.name],
        problem.weights,
        to_rows(problem.layout, decay),
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
