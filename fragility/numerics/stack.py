"""Many models of one architecture as one problem: a stack with a leading model axis.

The models of a stack share the network and the examples; each has parameters, example weights and
L2 strengths of its own. They do not interact: the gradient of the sum of their objectives is the
stack of their gradients, so one backward pass serves all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

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

    def select(self, index: Tensor | slice) -> Evaluation:
        """Returns the evaluation of some of the models."""
        return Evaluation(self.objective[index], self.data_loss[index], self.gradient[index])


Gradient = Callable[[Tensor, Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]
"""`differentiated` as a function of theta, weights, inputs and targets."""


@dataclass(frozen=True)
class Compiled:
    """A compiled gradient of stacks of one shape; see `fragility.numerics.compilation`."""

    models: int
    examples: int
    own_inputs: bool
    gradient: Gradient


@dataclass(frozen=True)
class StackProblem:
    """The objectives J_k(theta) = sum_i w_ki l(z_i, theta) + 1/2 sum_p d_kp theta_p^2 of K models.

    `weights` (K, n) already hold the factor of the mean: 1/n for an example that counts, 0 for one
    that is removed. `decay` (K, 1) or (K, P) are the L2 strengths of the trained coordinates.
    `frozen` parameters have a leading model axis and take no part in training. With `own_inputs`
    each model has inputs of its own, (K, n, ...): the features of its frozen prefix. `compiled` is
    used for the parts of the stack that have its shape.
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
    compiled: Compiled | None = None

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
        return self._in_blocks(theta, self.weights.shape[1], self.own_inputs, self.select)

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
            return self.batch(rows).evaluate(theta)
        return self._in_blocks(
            theta, rows.shape[1], True, lambda block: self.select(block).batch(rows[block])
        )

    def _in_blocks(
        self, theta: Tensor, examples: int, own_inputs: bool, part: Callable[[slice], StackProblem]
    ) -> Evaluation:
        """Joins the evaluations of parts of the stack; a part has so many examples."""
        size, last = self.block(examples), self.models
        if (made := self.compiled) and (made.examples, made.own_inputs) == (examples, own_inputs):
            # What is compiled takes blocks of one size: the last begins within the one before.
            size, last = min(made.models, self.models), self.models - made.models
        found = []
        for start in range(0, self.models, size):
            first = max(0, min(start, last))
            block = slice(first, first + size)
            here = part(block)._evaluate(theta[block])
            found.append(here if first == start else here.select(slice(start - first, None)))
        return _joined(found)

    def batch(self, rows: Tensor) -> StackProblem:
        """Returns the problem whose objective is that of a minibatch; see `evaluate_rows`."""
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

    def block(self, examples: int) -> int:
        """Returns how many models' activations of so many examples take `BLOCK_BYTES` together."""
        example = tuple(self.inputs.shape[2 if self.own_inputs else 1 :])
        numbers = self.weights.shape[1] * activations(self.network, example)
        bytes_a_model = numbers * self.weights.element_size()
        models = max(1, BLOCK_BYTES // bytes_a_model)
        return max(1, models * self.weights.shape[1] // examples)

    def _evaluate(self, theta: Tensor) -> Evaluation:
        made = self.compiled
        if made is not None and self._has_shape_of(made):
            data_loss, slope = made.gradient(theta, self.weights, self.inputs, self.targets)
        else:
            data_loss, slope = differentiated(self, theta)
        penalty = 0.5 * (self.decay * theta.square()).sum(dim=1)
        return Evaluation(data_loss + penalty, data_loss, slope + self.decay * theta)

    def _has_shape_of(self, made: Compiled) -> bool:
        shape = (*self.weights.shape, self.own_inputs)
        return shape == (made.models, made.examples, made.own_inputs)

    def select(self, index: Tensor | slice) -> StackProblem:
        """Returns the problem of some of the models."""
        return replace(
            self,
            frozen={name: value[index] for name, value in self.frozen.items()},
            inputs=self.inputs[index] if self.own_inputs else self.inputs,
            weights=self.weights[index],
            decay=self.decay[index],
        )


def differentiated(problem: StackProblem, theta: Tensor) -> tuple[Tensor, Tensor]:
    """Returns weighted mean losses (K,) and their gradients (K, P), without penalty."""
    point = theta.detach().requires_grad_()
    with torch.enable_grad():
        outputs = problem.outputs(point, problem.inputs, own_inputs=problem.own_inputs)
        losses = problem.loss.per_example(outputs, problem.targets)
        data_loss = (problem.weights * losses).sum(dim=1)
        (gradient,) = torch.autograd.grad(data_loss.sum(), point)
    return data_loss.detach(), gradient


def _joined(blocks: Sequence[Evaluation]) -> Evaluation:
    if len(blocks) == 1:
        return blocks[0]
    return Evaluation(
        torch.cat([block.objective for block in blocks]),
        torch.cat([block.data_loss for block in blocks]),
        torch.cat([block.gradient for block in blocks]),
    )
