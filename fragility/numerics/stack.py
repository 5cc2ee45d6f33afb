"""Many models of one architecture as one problem: a stack with a leading model axis.

The models of a stack share the network and the examples; each has parameters, example weights and
L2 strengths of its own. They do not interact: the gradient of the sum of their objectives is the
stack of their gradients, so one backward pass serves all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from fragility.numerics.card import card_bytes
from fragility.numerics.fused_forward import is_fused, stacked_outputs
from fragility.numerics.losses import Loss
from fragility.numerics.network import Layout, Network, activations
from fragility.numerics.noise import Draws
from fragility.numerics.penalties import Term

BLOCK_BYTES = 8 * 2**20
"""Working set of one pass over part of a stack: about what a core's caches hold."""

PASS_EXAMPLES = 32
"""Fewest examples of a pass that is cut to size: convolutions of few images are slow."""

CARD_SHARE = 16
"""A pass takes this part of a card's memory: backward passes hold the forward's several times."""


def working_set(device: torch.device) -> int:
    """Returns the bytes of one pass: what a processor's caches hold, or a part of a card's."""
    return card_bytes(device) // CARD_SHARE if device.type == "cuda" else BLOCK_BYTES


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
    """A compiled gradient for so many models and examples; see `numerics.compilation`."""

    models: int
    examples: int
    gradient: Gradient

    def fits(self, problem: StackProblem) -> bool:
        """Whether a stack has such parts."""
        enough = problem.models >= self.models
        return enough and not problem.own_inputs and problem.weights.shape[1] == self.examples


@dataclass(frozen=True)
class Anchor:
    """A pull towards a point, (1/2) sum_p s_kp (theta_p - a_kp)^2, and a tilt of the outputs.

    `theta` (K, P); `strength` (K, P). `tilt` (B, n, c), where given, is subtracted as
    sum_i <tilt_bi, outputs_i>, b = `base` (K,) being each model's row: it makes the sum of losses
    one of Bregman divergences from a base model.
    """

    theta: Tensor
    strength: Tensor
    tilt: Tensor | None
    base: Tensor

    def select(self, index: Tensor | slice) -> Anchor:
        """Returns the anchor of some of the models."""
        return Anchor(self.theta[index], self.strength[index], self.tilt, self.base[index])


@dataclass(frozen=True)
class StackProblem:
    """The objectives J_k(theta) = sum_i w_ki l(z_i, theta) + 1/2 sum_p d_kp theta_p^2 of K models.

    `weights` (K, n) already hold the factor of the mean: 1/n for an example that counts, 0 for one
    that is removed. `decay` (K, 1) or (K, P) are the L2 strengths of the trained coordinates, and
    `terms` are penalties of other forms that the objectives have beside it.
    `frozen` parameters have a leading model axis and take no part in training. With `own_inputs`
    each model has inputs of its own, (K, n, ...): the features of its frozen prefix, or a batch of
    its own, which has `own_targets` too. `compiled` serves the parts of the stack that have its
    shape, where all models share their inputs. With an `anchor` the objectives have its terms too;
    minibatches do not. With `draws` a step may be taken on a noisy objective, see `at`; `masks` are
    that step's, (K, n, units) by name.
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
    anchor: Anchor | None = None
    terms: tuple[Term, ...] = ()
    draws: Draws | None = None
    step: int | None = None
    masks: Mapping[str, Tensor] = field(default_factory=dict)
    own_targets: bool = False

    @property
    def models(self) -> int:
        """Number of models in the stack."""
        return self.weights.shape[0]

    def outputs(self, theta: Tensor, inputs: Tensor, *, own_inputs: bool = False) -> Tensor:
        """Returns the outputs (K, n, k) on the same inputs (n, ...), or on each model's own."""
        stacked = {**self.layout.unflatten(theta), **self.frozen, **self.masks}
        return stacked_outputs(self.network, stacked, inputs, own_inputs=own_inputs)

    def at(self, step: int) -> StackProblem:
        """Returns the problem whose evaluations have the noise of a step, if it has any noise."""
        return self if self.draws is None else replace(self, step=step)

    def _noisy(self) -> StackProblem:
        """Returns the problem with the noise of its step drawn."""
        if self.draws is None or self.step is None:
            return self
        inputs, own, masks = self.draws.at(
            self.step, self.network, self.inputs, own_inputs=self.own_inputs
        )
        return replace(self, inputs=inputs, own_inputs=own, masks=masks, step=None)

    def evaluate(self, theta: Tensor) -> Evaluation:
        """Returns objectives and gradients at theta (K, P); one forward and one backward pass.

        The stack is taken in blocks whose activations stay in the processor's cache, and so are the
        examples of a network that is no chain of affine layers.
        """
        if self.step is not None:
            return self._noisy().evaluate(theta)
        made = self.compiled
        if made is not None and made.fits(self):
            return _joined(self._exact_parts(made, theta))
        size = self.block(self.weights.shape[1])
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
        size = self._own_block(rows.shape[1])
        blocks = (slice(start, start + size) for start in range(0, self.models, size))
        return _joined(
            self.select(block)._batch(rows[block])._noisy()._evaluate(theta[block])
            for block in blocks
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
            own_targets=own_rows,
        )

    @property
    def activations(self) -> int:
        """How many numbers the forward pass of one example computes."""
        return activations(self.network, tuple(self.inputs.shape[2 if self.own_inputs else 1 :]))

    def block(self, examples: int) -> int:
        """Returns how many models' passes over so many examples fit one pass, at least one."""
        bytes_a_model = examples * self.activations * self.weights.element_size()
        return max(1, working_set(self.weights.device) // bytes_a_model)

    def _own_block(self, examples: int) -> int:
        """Returns how many models take a batch of so many examples of their own at once."""
        if not self.chained:
            return self.block(examples)
        n = self.weights.shape[1]
        return max(1, self.block(n) * n // examples)

    @property
    def chained(self) -> bool:
        """Whether the stack is computed in the layout of chains."""
        return is_fused(self.network.module, self.inputs.dim() - self.own_inputs)

    def _exact_parts(self, made: Compiled, theta: Tensor) -> Iterator[Evaluation]:
        """Yields the stack in parts of exactly the size that is compiled.

        The last part begins within the one before, and what was evaluated twice is left out.
        """
        size = made.models
        for start in range(0, self.models, size):
            first = min(start, self.models - size)
            part, here = self.select(slice(first, first + size)), theta[first : first + size]
            data_loss, slope = made.gradient(here, part.weights, part.inputs, part.targets)
            yield part._evaluation(here, data_loss, slope).select(slice(start - first, None))

    def _evaluate(self, theta: Tensor) -> Evaluation:
        examples = self.weights.shape[1]
        if self.chained or examples <= (most := self._pass_examples):
            return self._evaluation(theta, *differentiated(self, theta))
        parts = [
            differentiated(self.of_examples(slice(start, start + most)), theta)
            for start in range(0, examples, most)
        ]
        data_loss, slope = (torch.stack(values).sum(dim=0) for values in zip(*parts, strict=True))
        return self._evaluation(theta, data_loss, slope)

    @property
    def _pass_examples(self) -> int:
        """How many examples one pass of the whole stack takes at most."""
        bytes_an_example = self.models * self.activations * self.weights.element_size()
        return max(PASS_EXAMPLES, working_set(self.weights.device) // bytes_an_example)

    def of_examples(self, rows: slice) -> StackProblem:
        """Returns the share of some of the examples in the objectives, penalties aside."""
        anchor = self.anchor
        if anchor is not None and anchor.tilt is not None:
            anchor = replace(anchor, tilt=anchor.tilt[:, rows])
        return replace(
            self,
            inputs=self.inputs[:, rows] if self.own_inputs else self.inputs[rows],
            targets=self.targets[:, rows] if self.own_targets else self.targets[rows],
            weights=self.weights[:, rows],
            anchor=anchor,
            masks={name: mask[:, rows] for name, mask in self.masks.items()},
        )

    def _evaluation(self, theta: Tensor, data_loss: Tensor, slope: Tensor) -> Evaluation:
        penalty = 0.5 * (self.decay * theta.square()).sum(dim=1)
        gradient = slope + self.decay * theta
        for term in self.terms:
            penalty = penalty + term.value(theta)
            gradient = gradient + term.slope(theta)
        if self.anchor is not None:
            away = theta - self.anchor.theta
            penalty = penalty + 0.5 * (self.anchor.strength * away.square()).sum(dim=1)
            gradient = gradient + self.anchor.strength * away
        return Evaluation(data_loss + penalty, data_loss, gradient)

    def select(self, index: Tensor | slice) -> StackProblem:
        """Returns the problem of some of the models."""
        return replace(
            self,
            frozen={name: value[index] for name, value in self.frozen.items()},
            inputs=self.inputs[index] if self.own_inputs else self.inputs,
            weights=self.weights[index],
            decay=self.decay[index],
            anchor=None if self.anchor is None else self.anchor.select(index),
            terms=tuple(term.select(index) for term in self.terms),
            draws=None if self.draws is None else self.draws.select(index),
            masks={name: mask[index] for name, mask in self.masks.items()},
        )


def differentiated(problem: StackProblem, theta: Tensor) -> tuple[Tensor, Tensor]:
    """Returns weighted mean losses (K,) without penalty, and their gradients (K, P)."""
    point = theta.detach().requires_grad_()
    with torch.enable_grad():
        outputs = problem.outputs(point, problem.inputs, own_inputs=problem.own_inputs)
        losses = problem.loss.per_example(outputs, problem.targets)
        data_loss = (problem.weights * losses).sum(dim=1)
        anchor = problem.anchor
        if anchor is not None and anchor.tilt is not None:
            data_loss = data_loss - (anchor.tilt[anchor.base] * outputs).sum(dim=(1, 2))
        (gradient,) = torch.autograd.grad(data_loss.sum(), point)
    return data_loss.detach(), gradient


def _joined(parts: Iterable[Evaluation]) -> Evaluation:
    blocks = list(parts)
    if len(blocks) == 1:
        return blocks[0]
    return Evaluation(
        torch.cat([block.objective for block in blocks]),
        torch.cat([block.data_loss for block in blocks]),
        torch.cat([block.gradient for block in blocks]),
    )
