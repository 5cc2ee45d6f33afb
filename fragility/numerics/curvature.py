"""The curvature matrix of an objective: its products with many vectors, and itself written out.

Three matrices are known by that name here, all of the mean loss over the training examples, with
the penalty's diagonal on request: the Hessian; the Gauss-Newton matrix, which is the Hessian
without the second derivatives of the network; and the empirical Fisher matrix, the second moment
of the examples' gradients.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor, nn

from fragility.numerics.autodiff import dense_gauss_newton, products_by_autodiff
from fragility.numerics.chain import Chain, is_differentiable_chain
from fragility.numerics.dense_chain import add_dense
from fragility.numerics.fused_forward import is_chain
from fragility.numerics.gradients import (
    Scalars,
    block_rows,
    example_blocks,
    pass_rows,
    per_example_gradients,
)
from fragility.numerics.network import Layout, ParameterSet, activations, parameter_words
from fragility.numerics.squares import block_square_products
from fragility.numerics.trained import TrainedModel

Curvature = Literal["hessian", "gauss_newton", "empirical_fisher"]

TILE_BYTES = 4 * 2**20
"""Tangents of one layer in one block of a product: about what a core's caches hold."""


def matrix_words(
    curvature: Curvature, parameters: ParameterSet, includes_regularization: bool
) -> str:
    """Returns what a curvature matrix is called, such as `hessian of last_layer`."""
    which = "all parameters" if parameters == "all" else parameter_words(parameters)
    without = "" if includes_regularization else " without penalty"
    return f"{curvature} of {which}{without}"


@dataclass(frozen=True)
class CurvatureMatrix:
    """The curvature (P, P) of a trained model's objective in some of its parameters."""

    model: TrainedModel
    layout: Layout
    kind: Curvature = "hessian"
    includes_regularization: bool = True

    @property
    def size(self) -> int:
        """Number of parameters P."""
        return self.layout.size

    @cached_property
    def decay(self) -> Tensor:
        """The penalty's diagonal (P,), zero where it is not included."""
        decay = self.model.penalty_curvature(self.layout)
        return decay if self.includes_regularization else torch.zeros_like(decay)

    def product(self, vectors: Tensor) -> Tensor:
        """Returns the products with the rows of `vectors` (T, P).

        Cost: one pass over the examples whose matrix products are T times as large as those of
        about two gradients.
        """
        if self.kind == "empirical_fisher":
            total = self._fisher_product(vectors)
        else:
            total = torch.zeros_like(vectors)
            for inputs, targets in self._blocks(len(vectors)):
                total += self._block_product(vectors, inputs, targets)
        return total / self.model.n + self.decay * vectors

    def dense(self) -> Tensor:
        """Returns the matrix, (P, P).

        Cost: for chains of affine layers about n P^2 operations; else P products, some at a time.
        """
        if self.kind == "empirical_fisher":
            total = self._dense_fisher()
        elif self._is_dense_chain:
            total = self._dense_chain()
        elif self.kind == "gauss_newton":
            total = dense_gauss_newton(self.model, self.layout)
        else:
            total = self._dense_by_products()
        total /= self.model.n
        total.diagonal().add_(self.decay)
        return total

    @cached_property
    def mean_eigenvalue(self) -> float:
        """Mean eigenvalue of the matrix without penalty.

        Of the Gauss-Newton matrix also where the curvature is the Hessian, whose trace can be
        negative: the unit of relative damping.
        """
        ones = self.decay.new_ones(1, self.size)
        total = 0.0
        for inputs, targets in self.model.train_blocks(block_rows(self.model, 2 * self.size)):
            for scalars, along in self._factors(inputs, targets):
                squares = block_square_products(
                    self.model, self.layout, ones, inputs, along, scalars
                )
                total += float(squares.sum())
        return total / (self.model.n * self.size)

    def _factors(self, inputs: Tensor, targets: Tensor) -> Iterator[tuple[Scalars, Tensor]]:
        """Yields scalars whose gradients' second moments sum to the (block's) matrix."""
        if self.kind == "empirical_fisher":
            yield self.model.loss.per_example, targets
            return
        outputs = self.model.network(self.model.parameters, inputs).detach()
        for direction in self.model.loss.curvature_roots(outputs).unbind(dim=2):
            yield lambda found, along: (found * along).sum(dim=1), direction

    @cached_property
    def _is_dense_chain(self) -> bool:
        module = self.model.network.module
        linear = all(not isinstance(layer, nn.Conv2d) for layer in module.modules())
        return linear and is_chain(module, self.model.inputs.dim())

    @cached_property
    def _is_chain(self) -> bool:
        return is_differentiable_chain(self.model.network)

    def _blocks(self, vectors: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yields blocks of examples whose tangents stay in the caches, but not too small ones."""
        size = next(iter(self.model.parameters.values())).element_size()
        shape = tuple(self.model.inputs.shape[1:])
        numbers = vectors * activations(self.model.network, shape)
        rows = max(64, TILE_BYTES // (numbers * size))
        yield from self.model.train_blocks(min(rows, pass_rows(self.model)))

    def _terms(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor | None]:
        """Returns each example's curvature in the outputs, and for the Hessian its gradient."""
        curvature = self.model.loss.output_curvature(outputs)
        if self.kind == "gauss_newton":
            return curvature, None
        with torch.enable_grad():
            point = outputs.detach().requires_grad_()
            losses = self.model.loss.per_example(point, targets).sum()
            (gradient,) = torch.autograd.grad(losses, point)
        return curvature, gradient

    def _block_product(self, vectors: Tensor, inputs: Tensor, targets: Tensor) -> Tensor:
        hessian = self.kind == "hessian"
        if not self._is_chain:
            return products_by_autodiff(
                self.model, self.layout, vectors, inputs, targets, gauss_newton=not hessian
            )
        chain = Chain(self.model.network, self.model.parameters, inputs, second=hessian)
        terms = self._terms(chain.outputs, targets)
        return self.layout.flatten(chain.product(self.layout.unflatten(vectors), *terms))

    def _fisher_product(self, vectors: Tensor) -> Tensor:
        total = torch.zeros_like(vectors)
        for inputs, targets in example_blocks(self.model, self.layout, len(vectors)):
            gradients = per_example_gradients(self.model, self.layout, inputs, targets)
            total += (vectors @ gradients.T) @ gradients
        return total

    def _dense_fisher(self) -> Tensor:
        total = self.model.vector(self.layout).new_zeros(self.size, self.size)
        for inputs, targets in example_blocks(self.model, self.layout, 0):
            gradients = per_example_gradients(self.model, self.layout, inputs, targets)
            total.addmm_(gradients.T, gradients)
        return total

    def _dense_chain(self) -> Tensor:
        total = self.model.vector(self.layout).new_zeros(self.size, self.size)
        hessian = self.kind == "hessian"
        widest = max(self.layout.sizes)
        for inputs, targets in self.model.train_blocks(
            min(512, block_rows(self.model, 4 * widest))
        ):
            chain = Chain(self.model.network, self.model.parameters, inputs, second=hessian)
            add_dense(total, self.layout, chain, *self._terms(chain.outputs, targets))
        # The blocks below the diagonal were left out.
        total.triu_()
        return total.add_(total.triu(1).T)

    def _dense_by_products(self) -> Tensor:
        identity = torch.eye(self.size, dtype=self.decay.dtype, device=self.decay.device)
        activity = activations(self.model.network, tuple(self.model.inputs.shape[1:]))
        chunk = max(1, min(256, block_rows(self.model, 64 * activity)))
        total = torch.zeros_like(identity)
        for rows in torch.split(torch.arange(self.size), chunk):
            for inputs, targets in self._blocks(len(rows)):
                total[rows] += self._block_product(identity[rows], inputs, targets)
        return total.add(total.T).div_(2)
