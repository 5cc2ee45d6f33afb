"""An optimizer whose gradients are clipped, and whose parameters shrink before they move."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from fragility.numerics.history import Adjoint
from fragility.training.base import State
from fragility.training.optimizers import FirstOrder
from fragility.training.restraints import Restraints

_TINY = 1e-6
"""What torch's `clip_grad_norm_` adds to a norm."""


def steered(stepper: FirstOrder, stack: Sequence[Restraints], theta: Tensor) -> FirstOrder:
    """Returns an optimizer of a stack under the restraints of each model."""
    if not any(one.steer for one in stack):
        return stepper
    limits = [[torch.inf if one.clipping is None else one.clipping] for one in stack]
    clips = any(one.clipping is not None for one in stack)
    decay = [[one.decoupled or 0.0] for one in stack]
    return _Steered(stepper, theta.new_tensor(limits) if clips else None, theta.new_tensor(decay))


class _Steered(FirstOrder):
    def __init__(self, stepper: FirstOrder, limit: Tensor | None, decay: Tensor) -> None:
        self.stepper, self.limit, self.decay = stepper, limit, decay

    def move(self, theta: Tensor, gradient: Tensor, rates: Tensor) -> Tensor:
        if self.limit is not None:
            gradient = gradient * _share(self.limit, gradient.norm(dim=1, keepdim=True))
        return self.stepper.move(theta * (1 - rates * self.decay), gradient, rates)

    def pull(
        self, theta: Tensor, gradient: Tensor, rates: Tensor, after: Adjoint
    ) -> tuple[Adjoint, Tensor]:
        shrunk = 1 - rates * self.decay.to(theta)
        if self.limit is None:
            before, slope = self.stepper.pull(theta, gradient, rates, after)
            return replace(before, theta=before.theta * shrunk), slope
        limit, norm = self.limit.to(theta), gradient.norm(dim=1, keepdim=True)
        share = _share(limit, norm)
        before, slope = self.stepper.pull(theta, gradient * share, rates, after)
        # Of a gradient that is clipped, the length hardly matters to the step.
        bend = torch.where(share < 1, limit / (norm + _TINY).square() / norm, 0)
        along = (slope * gradient).sum(dim=1, keepdim=True)
        return replace(before, theta=before.theta * shrunk), share * slope - bend * along * gradient

    def state(self) -> State:
        return self.stepper.state()

    def load(self, state: Mapping[str, Tensor]) -> None:
        self.stepper.load(state)

    def select(self, index: Tensor) -> None:
        self.stepper.select(index)
        self.limit = None if self.limit is None else self.limit[index]
        self.decay = self.decay[index]


def _share(limit: Tensor, norm: Tensor) -> Tensor:
    """Returns what is left of gradients of such norms (K, 1)."""
    return (limit / (norm + _TINY)).clamp(max=1)
