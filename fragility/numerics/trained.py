"""A trained model with the examples it was trained and is tested on: what estimators look at."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from fragility.numerics.history import History
from fragility.numerics.losses import Loss
from fragility.numerics.network import Layout, Network, activations
from fragility.numerics.paged import converted
from fragility.numerics.penalties import Penalty, Term

Parameters = Mapping[str, Tensor]

BLOCK_NUMBERS = 2**24
"""Most activations of one block of examples."""


@dataclass(frozen=True)
class TrainedModel:
    """A point theta of J(theta) = (1/n) sum_i l(z_i, theta) + sum_p (s_p/2) theta_p^2.

    `decay` holds the strength s of each parameter, `penalties` what J has beside it. `loss` is the
    l that was trained, `test_loss` the one that test examples are measured by. Inputs are (n, ...),
    targets as the losses take them; training and test examples are complete. `history` is the
    training of all parameters that led here, where it can be followed; `initial` gives the
    parameters before it, where known.
    """

    network: Network
    loss: Loss
    decay: Mapping[str, float]
    parameters: Parameters
    inputs: Tensor
    targets: Tensor
    test_inputs: Tensor
    test_targets: Tensor
    test_loss: Loss
    penalties: tuple[Penalty, ...] = ()
    history: History | None = None
    initial: Callable[[], Parameters] | None = None

    @property
    def n(self) -> int:
        """Number of training examples."""
        return self.inputs.shape[0]

    def to(self, dtype: torch.dtype) -> TrainedModel:
        """Returns the model in another floating precision."""

        def cast(value: Tensor) -> Tensor:
            return converted(value, dtype) if value.is_floating_point() else value

        return replace(
            self,
            parameters={name: cast(value) for name, value in self.parameters.items()},
            inputs=cast(self.inputs),
            targets=cast(self.targets),
            test_inputs=cast(self.test_inputs),
            test_targets=cast(self.test_targets),
        )

    def vector(self, layout: Layout) -> Tensor:
        """Returns some of the parameters as one flat vector (P,)."""
        return layout.flatten(self.parameters)

    def losses_at(self, layout: Layout, flat: Tensor, inputs: Tensor, targets: Tensor) -> Tensor:
        """Returns the loss of each example (n,) with some of the parameters replaced by `flat`."""
        parameters = {**self.parameters, **layout.unflatten(flat)}
        return self.loss.per_example(self.network(parameters, inputs), targets)

    def on_test(self) -> TrainedModel:
        """Returns the model with the test examples in the place of the training examples."""
        return replace(
            self, inputs=self.test_inputs, targets=self.test_targets, loss=self.test_loss
        )

    def decay_vector(self, layout: Layout) -> Tensor:
        """Returns the L2 strength of each coordinate (P,)."""
        return self._spread(layout, self.decay)

    def penalty_gradient(self, layout: Layout) -> Tensor:
        """Returns the gradient (P,) of the whole penalty."""
        flat = self.vector(layout).detach()
        slope = self.decay_vector(layout) * flat
        for penalty in self.penalties:
            slope = slope + self._spread(layout, penalty.strengths) * penalty.form.slope(flat)
        return slope

    def penalty_curvature(self, layout: Layout) -> Tensor:
        """Returns the second derivative (P,) of the whole penalty in each coordinate."""
        flat = self.vector(layout).detach()
        bend = self.decay_vector(layout)
        for penalty in self.penalties:
            bend = bend + self._spread(layout, penalty.strengths) * penalty.form.bend(flat)
        return bend

    def terms(self, layout: Layout) -> tuple[Term, ...]:
        """Returns the penalties beyond L2 as those of a stack of one."""
        return tuple(
            Term(penalty.form, self._spread(layout, penalty.strengths).unsqueeze(0))
            for penalty in self.penalties
        )

    def _spread(self, layout: Layout, strengths: Mapping[str, float]) -> Tensor:
        vector = self.vector(layout)
        parts = [
            vector.new_full((size,), strengths.get(name, 0.0))
            for name, size in zip(layout.names, layout.sizes, strict=True)
        ]
        return torch.cat(parts)

    def mean_gradient(self, layout: Layout) -> Tensor:
        """Returns the gradient (P,) of the objective, penalty included, block by block."""
        with torch.enable_grad():
            flat = self.vector(layout).detach().requires_grad_()
            total = torch.zeros_like(flat)
            shape = tuple(self.inputs.shape[1:])
            rows = max(1, BLOCK_NUMBERS // activations(self.network, shape))
            for inputs, targets in self.train_blocks(rows):
                losses = self.losses_at(layout, flat, inputs, targets).sum()
                total += torch.autograd.grad(losses, flat)[0]
        return total / self.n + self.penalty_gradient(layout)

    def train_blocks(self, rows: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yields the training examples in blocks of `rows`."""
        yield from zip(torch.split(self.inputs, rows), torch.split(self.targets, rows), strict=True)
