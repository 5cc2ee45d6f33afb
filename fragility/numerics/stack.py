"""Many models of one architecture as one problem: a stack with a leading model axis.

The models of a stack share the network and the examples; each has parameters, example weights and
L2 strengths of its own. They do not interact: the gradient of the sum of their objectives is the
stack of their gradients, so one backward pass serves all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from fragility.numerics.fused_forward import stacked_outputs
from fragility.numerics.losses import Loss
from fragility.numerics.network import Layout, Network, activations

BLOCK_BYTES = 8 * 2**20
"""Working set of one pass over part of a stack: about what a core's caches hold."""


@dataclass(frozen=True)
class Evaluation:
    """Objective (K,), its weighted mean loss without penalty (K,), and its gradient (K, P)."""

    objective: Tensor
    data_loss: Tensor
    gradient: Tensor

    def where(self, mask: Tensor, other: Evaluation) -> Evaluation:
        """Returns this evaluation for the models in `mask` (K,), `other` for the rest."""
        return Evaluation(
            torch.where(mask, self.objective, other.objective),
            torch.where(mask, self.data_loss, other.data_loss),
            torch.where(mask.unsqueeze(1), self.gradient, other.gradient),
        )

    def select(self, index: Tensor) -> Evaluation:
        """Returns the evaluation of some of the models."""
        return Evaluation(self.objective[index], self.data_loss[index], self.gradient[index])


@dataclass(frozen=True)
class StackProblem:
    """The objectives J_k(theta) = sum_i w_ki l(z_i, theta) + 1/2 sum_p d_kp theta_p^2 of K models.

    `weights` (K, n) already hold the factor of the mean: 1/n for an example that counts, 0 for one
    that is removed. `decay` (K, 1) or (K, P) are the L2 strengths of the trained coordinates.
    `frozen` parameters have a leading model axis and take no part in training. With `own_inputs`
    each model has inputs of its own, (K, n, ...): the features of its frozen prefix.
    """

    network: Network
    loss: Loss
    layout: Layout
    frozen: Mapping[str, Tensor]
    inputs: Tensor
    targets: Tensor
    weights: Tensor
    decay: Tensor
    own_inputs: bool = False

    @property
    def models(self) -> int:
        """Number of models in the stack."""
        return self.weights.shape[0]

    def outputs(self, theta: Tensor, inputs: Tensor, *, own_inputs: bool = False) -> Tensor:
        """Returns the outputs (K, n, k) on the same inputs (n, ...), or on each model's own."""
        stacked = {**self.layout.unflatten(theta), **self.frozen}
        return stacked_outputs(self.network, stacked, inputs, own_inputs=own_inputs)

    def evaluate(self, theta: Tensor) -> Evaluation:
        """Returns objectives and gradients at theta (K, P); one forward and one backward pass.

        The stack is taken in blocks whose activations stay in the processor's cache.
        """
        size = self._block
        if size >= self.models:
            return self._evaluate(theta)
        return _joined(
            self.select(slice(start, start + size))._evaluate(theta[start : start + size])
            for start in range(0, self.models, size)
        )

    def evaluate_rows(self, theta: Tensor, rows: Tensor) -> Evaluation:
        """Returns the estimate of `evaluate` from a minibatch; the penalty is that of the whole.

        Weights are n/b times as large: the mean over batches that make up all examples, each
        weighted by its size, is the whole, and 1/n becomes 1/b.

        Args:
            theta: parameters, shape (K, P).
            rows: positions of the batch's examples, shape (b,) for the same batch for all models,
                (K, b) for a batch of each. Each model's own are gathered block by block.
        """
        if rows.dim() == 1:
            return self._batch(rows).evaluate(theta)
        size = max(1, self._block * self.weights.shape[1] // rows.shape[1])
        blocks = (slice(start, start + size) for start in range(0, self.models, size))
        return _joined(
            self.select(block)._batch(rows[block])._evaluate(theta[block]) for block in blocks
        )

    def _batch(self, rows: Tensor) -> StackProblem:
        own_rows = rows.dim() == 2
        if self.own_inputs and own_rows:
            models = torch.arange(self.models, device=rows.device).unsqueeze(1)
            inputs = self.inputs[models, rows]
        else:
            inputs = self.inputs[:, rows] if self.own_inputs else self.inputs[rows]
        weights = self.weights.gather(1, rows) if own_rows else self.weights[:, rows]
        return replace(
            self,
            inputs=inputs,
            targets=self.targets[rows],
            weights=weights * (self.weights.shape[1] / rows.shape[-1]),
            own_inputs=self.own_inputs or own_rows,
        )

    @cached_property
    def _block(self) -> int:
        """Number of models whose activations take `BLOCK_BYTES` together, at least one."""
        example = tuple(self.inputs.shape[2 if self.own_inputs else 1 :])
        numbers = self.weights.shape[1] * activations(self.network, example)
        bytes_a_model = numbers * self.weights.element_size()
        return max(1, BLOCK_BYTES // bytes_a_model)

    def _evaluate(self, theta: Tensor) -> Evaluation:
        point = theta.detach().requires_grad_()
        with torch.enable_grad():
            losses = self.loss.per_example(
                self.outputs(point, self.inputs, own_inputs=self.own_inputs), self.targets
            )
            data_loss = (self.weights * losses).sum(dim=1)
            (gradient,) = torch.autograd.grad(data_loss.sum(), point)
        data_loss = data_loss.detach()
        penalty = 0.5 * (self.decay * theta.square()).sum(dim=1)
        return Evaluation(data_loss + penalty, data_loss, gradient + self.decay * theta)

    def select(self, index: Tensor | slice) -> StackProblem:
        """Returns the problem of some of the models."""
        return replace(
            self,
            frozen={name: value[index] for name, value in self.frozen.items()},
            inputs=self.inputs[index] if self.own_inputs else self.inputs,
            weights=self.weights[index],
            decay=self.decay[index],
        )


def _joined(parts: Iterable[Evaluation]) -> Evaluation:
    blocks = list(parts)
    if len(blocks) == 1:
        return blocks[0]
    return Evaluation(
        torch.cat([block.objective for block in blocks]),
        torch.cat([block.data_loss for block in blocks]),
        torch.cat([block.gradient for block in blocks]),
    )
