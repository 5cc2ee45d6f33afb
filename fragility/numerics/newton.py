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
from dataclasses import dataclass, fields
from hashlib import blake2b
from typing import Protocol

import torch
from torch import Tensor

from fragility.numerics.convex import base
from fragility.numerics.convex.affine import affine_stack, from_rows, is_affine, to_rows
from fragility.numerics.convex.base import ConvexStack, Preconditioner
from fragility.numerics.convex.general import GeneralStack
from fragility.numerics.convex.preconditioners import restored
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


class Checkpoint(Protocol):
    """Keeps the running state across interruptions."""

    def due(self) -> bool:
        """Whether it is time to save."""

    def save(self, state: dict[str, Tensor]) -> None:
        """Keeps a state, in place of the one before."""

    def load(self) -> dict[str, Tensor] | None:
        """Returns the state that an interrupted call left, or None."""


@torch.no_grad()
def optima(
    problem: StackProblem,
    start: Tensor,
    tolerance: Tensor,
    limits: Tensor,
    observe: Observe | None = None,
    progress: Callable[[float], None] = lambda share: None,
    checkpoint: Checkpoint | None = None,
) -> Optima:
    """Returns the optimum of every model of a convex problem, to a norm of its gradient.

    Args:
        problem: the objectives; convex in what is trained.
        start: where each model starts, (K, P).
        tolerance: norm of the gradient at which a model has converged, (K,).
        limits: most steps of each model, (K,).
        observe: called with step, theta, models and data loss before every step.
        progress: told the share of models that are done.
        checkpoint: looked at after every chunk of models that are solved together.
    """
    solved, ends, factor = _taken_up(checkpoint, start, limits)
    done = 0
    for number, (index, opens_group) in enumerate(_chunks(problem)):
        done += len(index)
        if number < solved:
            continue
        stack, into, back = _convex(problem.select(index))
        shared = None if opens_group else factor
        descent = Descent(stack, into(ends.theta[index]), tolerance[index], limits[index], shared)
        descent.run(_observed(observe, index, back))
        factor = descent.factor
        ends.theta[index], ends.steps[index] = back(descent.end_theta), descent.end_steps
        ends.grad_norm[index], ends.initial_loss[index] = descent.end_norm, descent.initial_loss
        ends.final_loss[index], ends.finite[index] = descent.end_loss, descent.end_finite
        ends.converged[index] = descent.end_converged
        progress(done / problem.models)
        if checkpoint is not None and checkpoint.due():
            checkpoint.save(_state(number + 1, ends, factor))
    return ends


def _state(solved: int, ends: Optima, factor: Preconditioner | None) -> dict[str, Tensor]:
    """Returns the number of chunks that are solved, how they ended, and what the next may reuse."""
    made = {} if factor is None else factor.state()
    reused = {_FACTOR + name: value for name, value in made.items()}
    return {"chunks": torch.tensor([solved]), **vars(ends), **reused}


def _taken_up(
    checkpoint: Checkpoint | None, start: Tensor, limits: Tensor
) -> tuple[int, Optima, Preconditioner | None]:
    """Returns what an interrupted call left, or where every model starts."""
    saved = checkpoint.load() if checkpoint is not None else None
    if saved is None:
        norm, first, last = (start.new_zeros(len(start)) for _ in range(3))
        converged, finite = (torch.zeros_like(limits, dtype=torch.bool) for _ in range(2))
        theta, steps = start.detach().clone(), torch.zeros_like(limits)
        return 0, Optima(theta, steps, norm, first, last, converged, finite), None
    made = {n.removeprefix(_FACTOR): v for n, v in saved.items() if n.startswith(_FACTOR)}
    ends = Optima(**{field.name: saved[field.name] for field in fields(Optima)})
    return int(saved["chunks"]), ends, restored(made)


_FACTOR = "factor/"

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
    parts = [problem.decay, *(term.strength for term in problem.terms), *problem.frozen.values()]
    parts += [problem.inputs] if problem.own_inputs else []
    members: dict[bytes, list[int]] = {}
    for model in range(problem.models):
        told = blake2b()
        for part in parts:
            told.update(part[model].contiguous().cpu().numpy().tobytes())
        members.setdefault(told.digest(), []).append(model)
    for models in members.values():
        yield torch.tensor(models, device=problem.weights.device)


def _chunks(problem: StackProblem) -> Iterator[tuple[Tensor, bool]]:
    """Yields as many models of a group at a time as the working memory holds.

    And whether they are the first of their group.
    """
    for group in _groups(problem):
        stack, _, _ = _convex(problem.select(group[:1]))
        chunks = torch.split(group, max(1, base.STACK_BYTES // stack.bytes_a_model))
        for place, chunk in enumerate(chunks):
            yield chunk, place == 0


def _observed(observe: Observe | None, index: Tensor, back: Mapped) -> Observe | None:
    """Returns `observe` in terms of the whole stack's models and parameters."""
    if observe is None:
        return None
    return lambda step, theta, models, loss: observe(step, back(theta), index[models], loss)
