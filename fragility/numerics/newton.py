"""The optima of a stack of convex objectives, all together.

Leave-one-out problems differ from each other in one part in n, so that one factored Hessian serves
them all. Models of the same penalty and the same inputs share the Hessian of their mean objective,
and each iterates theta <- theta - H^-1 grad with its own true gradient (the chord method). A model
for which that is slow, where one example carries much of the curvature or the start is far away,
takes Newton steps of its own: conjugate gradients on its own Hessian, preconditioned by the shared
one. Every step is backtracked until it descends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import blake2b

import torch
from torch import Tensor

from fragility.numerics.convex import base
from fragility.numerics.convex.affine import affine_stack, from_rows, is_affine, to_rows
from fragility.numerics.convex.base import ConvexStack, Preconditioner
from fragility.numerics.convex.general import GeneralStack
from fragility.numerics.descent import Descent, Observe
from fragility.numerics.stack import StackProblem


@dataclass(frozen=True)
class Optima:
    """Where K models ended.

    `theta` (K, P); `steps`, `grad_norm`, `initial_loss`, `final_loss` (weighted mean losses without
    penalty), `converged` and `finite`, each (K,).
    """

    theta: Tensor
    steps: Tensor
    grad_norm: Tensor
    initial_loss: Tensor
    final_loss: Tensor
    converged: Tensor
    finite: Tensor


@torch.no_grad()
def optima(
    problem: StackProblem,
    start: Tensor,
    tolerance: Tensor,
    limits: Tensor,
    observe: Observe | None = None,
    progress: Callable[[float], None] = lambda share: None,
) -> Optima:
    """Returns the optimum of every model of a convex problem, to a norm of its gradient.

    Args:
        problem: the objectives; convex in what is trained.
        start: where each model starts, (K, P).
        tolerance: norm of the gradient at which a model has converged, (K,).
        limits: most steps of each model, (K,).
        observe: called with step, theta, models and data loss before every step.
        progress: told the share of models that are done.
    """
    theta = start.detach().clone()
    norm, first, last = (theta.new_zeros(len(theta)) for _ in range(3))
    steps = torch.zeros_like(limits)
    converged, finite = (torch.zeros_like(limits, dtype=torch.bool) for _ in range(2))
    done = 0
    for group in _groups(problem):
        factor: Preconditioner | None = None
        for index in _chunks(problem, group):
            stack, into, back = _convex(problem.select(index))
            descent = Descent(stack, into(theta[index]), tolerance[index], limits[index], factor)
            descent.run(_observed(observe, index, back))
            factor = descent.factor
            theta[index], steps[index] = back(descent.end_theta), descent.end_steps
            norm[index], first[index] = descent.end_norm, descent.initial_loss
            last[index], converged[index] = descent.end_loss, descent.end_converged
            finite[index] = descent.end_finite
            done += len(index)
            progress(done / len(theta))
    return Optima(theta, steps, norm, first, last, converged, finite)


Mapped = Callable[[Tensor], Tensor]


def _convex(problem: StackProblem) -> tuple[ConvexStack, Mapped, Mapped]:
    """Returns the stack, and the ways of parameters into its coordinates and back."""
    layout = problem.layout
    if is_affine(problem):
        return (
            affine_stack(problem),
            lambda flat: to_rows(layout, flat),
            lambda rows: from_rows(layout, rows),
        )
    return GeneralStack(problem), lambda flat: flat, lambda flat: flat


def _groups(problem: StackProblem) -> Iterator[Tensor]:
    """Yields the models that share penalty, frozen parameters and inputs."""
    parts = [problem.decay, *problem.frozen.values()]
    parts += [problem.inputs] if problem.own_inputs else []
    members: dict[bytes, list[int]] = {}
    for model in range(problem.models):
        told = blake2b()
        for part in parts:
            told.update(part[model].contiguous().cpu().numpy().tobytes())
        members.setdefault(told.digest(), []).append(model)
    for models in members.values():
        yield torch.tensor(models, device=problem.weights.device)


def _chunks(problem: StackProblem, group: Tensor) -> Iterator[Tensor]:
    """Yields as many of the models at a time as the working memory holds."""
    stack, _, _ = _convex(problem.select(group[:1]))
    yield from torch.split(group, max(1, base.STACK_BYTES // stack.bytes_a_model))


def _observed(observe: Observe | None, index: Tensor, back: Mapped) -> Observe | None:
    """Returns `observe` in terms of the whole stack's models and parameters."""
    if observe is None:
        return None
    return lambda step, theta, models, loss: observe(step, back(theta), index[models], loss)
