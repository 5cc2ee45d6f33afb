"""Safeguarded Newton iterations of one group of convex models."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from fragility.numerics.conjugate_gradients import conjugate_gradients
from fragility.numerics.convex.base import ConvexStack, Linearization, Preconditioner

Observe = Callable[[int, Tensor, Tensor, Tensor], None]
"""`observe(step, theta, models, data_loss)` of the models that are not done."""

_SUFFICIENT_DECREASE = 1e-4
_BACKTRACKS = 40
_PATIENCE = 4
_SLOW = 0.1
_FORCING = 0.1
_ROUNDS = 250
_LOOK_ROUNDS = 30
_SMALL_SHIFT = 1e-2


class Descent:
    """The models still on their way, and the ends of those that arrived."""

    def __init__(
        self,
        stack: ConvexStack,
        start: Tensor,
        tolerance: Tensor,
        limits: Tensor,
        factor: Preconditioner | None,
    ) -> None:
        count = len(start)
        self.stack, self.theta, self.factor = stack, start, factor
        self.tolerance, self.limits = tolerance, limits
        self.models = torch.arange(count, device=start.device)
        self.chord = torch.ones_like(self.models, dtype=torch.bool)
        self.idle = torch.zeros_like(self.models)
        self.flattest = torch.full_like(tolerance, torch.inf)
        self.spent = 0
        self.has_optimum = stack.has_optimum
        self.end_theta, self.end_steps = start.clone(), torch.zeros_like(limits)
        self.end_norm, self.end_loss = (start.new_zeros(count) for _ in range(2))
        self.end_converged, self.end_finite = (torch.zeros_like(self.chord) for _ in range(2))

    def run(self, observe: Observe | None) -> None:
        """Brings every model to its end."""
        at = self.stack.evaluate(self.theta)
        self.initial_loss = at.data_loss
        step = 0
        while True:
            if observe is not None:
                observe(step, self.theta, self.models, at.data_loss)
            at = self._without_done(at, step)
            if len(self.models) == 0:
                return
            self._refactor()
            at = self._step(at)
            step += 1

    def _without_done(self, at: Linearization, step: int) -> Linearization:
        """Notes the ends of the models that are done and drops them."""
        norm = at.gradient.norm(dim=1)
        finite = torch.isfinite(at.objective) & torch.isfinite(norm)
        arrived = self._arrived(at, norm)
        done = arrived | ~finite | (self.limits <= step) | (self.idle > _PATIENCE)
        if not bool(done.any()):
            return at
        rows = done.nonzero().squeeze(1)
        index = self.models[rows]
        self.end_theta[index], self.end_steps[index] = self.theta[rows], step
        self.end_norm[index], self.end_loss[index] = norm[rows], at.data_loss[rows]
        self.end_converged[index], self.end_finite[index] = arrived[rows], finite[rows]
        keep = (~done).nonzero().squeeze(1)
        self.stack, self.theta = self.stack.select(keep), self.theta[keep]
        self.tolerance, self.limits = self.tolerance[keep], self.limits[keep]
        self.models, self.chord = self.models[keep], self.chord[keep]
        self.idle, self.flattest = self.idle[keep], self.flattest[keep]
        return at.select(keep)

    def _arrived(self, at: Linearization, norm: Tensor) -> Tensor:
        """Returns which models have a small gradient and an optimum nearby.

        Without a penalty, the gradient of separable classes shrinks forever while the steps do not:
        there is no optimum to arrive at.
        """
        small = norm <= self.tolerance
        if self.has_optimum or not bool(small.any()):
            return small
        rows = small.nonzero().squeeze(1)
        stack = self.stack.select(rows)
        ahead = self._newton(stack, at.select(rows), _FORCING * norm[rows], _LOOK_ROUNDS)
        return small.index_copy(0, rows, stack.shift(self.theta[rows], ahead) <= _SMALL_SHIFT)

    def _refactor(self) -> None:
        """Factors anew once conjugate gradients have cost as much as that does."""
        if self.spent > self.stack.price:
            self.factor, self.spent = None, 0
            self.chord = torch.ones_like(self.chord)

    def _factor(self) -> Preconditioner:
        if self.factor is None:
            self.factor = self.stack.precondition(self.theta.mean(dim=0))
        return self.factor

    def _step(self, at: Linearization) -> Linearization:
        norm = at.gradient.norm(dim=1)
        self.theta, there, whole = self._search(at, self._direction(at, norm))
        after = there.gradient.norm(dim=1)
        better = (there.objective < at.objective - _rounding(at)) | (after < 0.9 * self.flattest)
        self.idle = torch.where(better, 0, self.idle + 1)
        self.flattest = torch.minimum(self.flattest, after)
        self.chord = self.chord & whole & (after <= _SLOW * norm)
        return there

    def _direction(self, at: Linearization, norm: Tensor) -> Tensor:
        factor = self._factor()
        chord = self.chord & factor.close & (not self.stack.quadratic)
        if bool(chord.all()):
            return -factor.solve(at.gradient)
        direction = torch.empty_like(at.gradient)
        if bool(chord.any()):
            direction[chord] = -factor.solve(at.gradient[chord])
        rows = (~chord).nonzero().squeeze(1)
        forcing = 0 if self.stack.quadratic else norm.clamp(max=_FORCING)
        residual = torch.maximum(0.3 * self.tolerance, forcing * norm)
        whole = len(rows) == len(chord)
        stack = self.stack if whole else self.stack.select(rows)
        direction[rows] = self._newton(stack, at if whole else at.select(rows), residual[rows])
        return direction

    def _newton(
        self, stack: ConvexStack, at: Linearization, residual: Tensor, rounds: int = _ROUNDS
    ) -> Tensor:
        """Returns Newton directions, each to a norm of its residual."""
        product = _Products(stack, at)
        found, products = conjugate_gradients(
            product, self._factor().solve, -at.gradient, residual, min(rounds, 2 * stack.size)
        )
        self.spent += products
        return found

    def _search(self, at: Linearization, direction: Tensor) -> tuple[Tensor, Linearization, Tensor]:
        """Returns the first points of 1, 1/2, 1/4 ... of the way that descend enough.

        And which models went the whole way; one that finds no such point stays where it is.
        """
        slope = (direction * at.gradient).sum(dim=1)
        theta = self.theta + direction
        there = self.stack.evaluate(theta)
        limit = at.objective + _SUFFICIENT_DECREASE * slope + _rounding(at)
        whole = (there.objective <= limit) & (slope < 0)
        if bool(whole.all()):
            return theta, there, whole
        rows = (~whole).nonzero().squeeze(1)
        theta[rows] = self.theta[rows]
        length = 1.0
        for _ in range(_BACKTRACKS):
            rows = rows[torch.isfinite(slope[rows]) & (slope[rows] < 0)]
            if len(rows) == 0:
                break
            length /= 2
            trial = self.theta[rows] + length * direction[rows]
            objective = self.stack.select(rows).evaluate(trial).objective
            limit = at.objective + length * _SUFFICIENT_DECREASE * slope + _rounding(at)
            good = objective <= limit[rows]
            theta[rows[good]] = trial[good]
            rows = rows[~good]
        return theta, self.stack.evaluate(theta), whole


class _Products:
    """Products with the Hessians of the models that are not solved yet."""

    def __init__(self, stack: ConvexStack, at: Linearization) -> None:
        self.stack, self.at = stack, at
        self.part, self.part_at = stack, at

    def __call__(self, models: Tensor, tangent: Tensor) -> Tensor:
        if len(models) < self.part.models:
            self.part, self.part_at = self.stack.select(models), self.at.select(models)
        return self.part.product(self.part_at, tangent)


def _rounding(at: Linearization) -> Tensor:
    """Returns the error to which an objective is known."""
    return 10 * torch.finfo(at.objective.dtype).eps * at.objective.abs()
