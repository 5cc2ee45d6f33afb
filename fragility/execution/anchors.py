"""Holds the retrainings of a stack near their base models, where their procedure says so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from fragility.errors import MethodFailure
from fragility.numerics.stack import Anchor, StackProblem
from fragility.plan.tasks import PlannedCell
from fragility.procedures import Procedure


def anchored(
    problem: StackProblem,
    procedures: Sequence[Procedure],
    cells: Sequence[PlannedCell],
    bases: Tensor,
) -> StackProblem:
    """Returns the problem with its models' proximity to `bases` (K, P), their base models.

    With Bregman divergences for losses, the penalty too is one: its strength joins the proximity.

    Raises:
        MethodFailure: a penalty has no such divergence here.
    """
    pulls = [procedure.proximity for procedure in procedures]
    if pulls[0] is None:
        return problem
    if problem.terms and pulls[0].bregman:
        raise MethodFailure(
            f"`{procedures[0].kind}` takes the penalty of weight decay alone into its divergence; "
            f"here is {problem.terms[0].form.name}.",
            "Use `proximal`.",
        )
    damping = bases.new_tensor([[pull.strength if pull else 0.0] for pull in pulls])
    own = [planned.train_id for planned in cells]
    order = list(dict.fromkeys(own))
    rows = torch.tensor([order.index(train_id) for train_id in own], device=bases.device)
    if not pulls[0].bregman:
        strength = damping.expand(bases.shape)
        return replace(problem, anchor=Anchor(bases, strength, None, rows))
    first = torch.tensor([own.index(train_id) for train_id in order], device=bases.device)
    tilt = torch.cat([_tilt(problem, bases, one) for one in first.unsqueeze(1)])
    anchor = Anchor(bases, (damping + problem.decay).expand(bases.shape), tilt, rows)
    return replace(problem, decay=torch.zeros_like(problem.decay), anchor=anchor)


def _tilt(problem: StackProblem, bases: Tensor, model: Tensor) -> Tensor:
    """Returns the gradient in the outputs of one base model's mean loss, (1, n, c)."""
    part = problem.select(model)
    outputs = part.outputs(bases[model], part.inputs, own_inputs=part.own_inputs).detach()
    with torch.enable_grad():
        point = outputs.requires_grad_()
        losses = problem.loss.per_example(point, problem.targets)
        (gradient,) = torch.autograd.grad(losses.sum(), point)
    return gradient / problem.weights.shape[1]
