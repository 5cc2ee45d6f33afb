"""The linear response to a removal: what retraining is to first order, without any."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from fragility.errors import MethodFailure
from fragility.estimators.exact import dense_limit
from fragility.execution.measure import group_id
from fragility.execution.outcome import Outcome
from fragility.execution.workbench import Workbench
from fragility.numerics.curvature import CurvatureMatrix
from fragility.numerics.gradients import combined_gradients, gradient_products
from fragility.numerics.inverse import Inverse
from fragility.numerics.reduction import on_features
from fragility.plan.tasks import Batch, Task
from fragility.procedures import Procedure

Members = NDArray[np.int64] | None


def respond(batch: Batch, bench: Workbench, removed: Sequence[Members]) -> Outcome:
    """Returns every test example's loss after each removal, to first order in its weight."""
    outcome = Outcome(batch)
    places: dict[int, list[int]] = {}
    for position, task in enumerate(batch.tasks):
        places.setdefault(task.cell, []).append(position)
    losses: list[NDArray[np.float64]] = [np.empty(0)] * len(batch.tasks)
    for positions in places.values():
        task = batch.tasks[positions[0]]
        found, distances = _responses(bench, task, [removed[p] for p in positions])
        for position, after, distance in zip(positions, found, distances, strict=True):
            losses[position] = after
            members = removed[position]
            outcome.add(
                "training_facts",
                position,
                role="placebo" if members is None else "retraining",
                removed=removed_words(_procedure(bench, task), members),
                steps=0,
                test_loss=float(after.mean()),
                distance=float(distance),
            )
    outcome.arrays = {"test_loss": np.stack(losses)}
    return outcome


def removed_words(procedure: Procedure, members: Members) -> str | None:
    """Returns what tables say was removed, None for a placebo."""
    if members is None:
        return None
    if procedure.removes == "group":
        return f"group {group_id(members)} of {len(members)}"
    return str(int(members[0]))


def _procedure(bench: Workbench, task: Task) -> Procedure:
    return bench.cell(task).cell.procedures[str(task.procedure)]


def _responses(
    bench: Workbench, task: Task, removed: Sequence[Members]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Returns the losses (K, n_test) of one cell, and how far parameters move (K,)."""
    planned, procedure = bench.cell(task), _procedure(bench, task)
    response = procedure.linear_response
    assert response is not None
    layout = planned.network.select(procedure.parameters)
    model = on_features(bench.trained(planned).to(torch.float64), layout)
    matrix = CurvatureMatrix(model, layout, response.curvature)
    if matrix.size > (limit := dense_limit(torch.float64)):
        raise MethodFailure(
            f"`{procedure.kind}` writes out the curvature of at most {limit:,} parameters; here "
            f"are {matrix.size:,}.",
            "Give fewer `parameters`.",
        )
    dense = matrix.dense()
    if not bool(torch.isfinite(dense).all()):
        raise MethodFailure("the curvature is not finite: the trained model has diverged.")
    weights = np.stack([procedure.weights(model.n, members) for members in removed])
    lost = torch.from_numpy(1 / model.n - weights).to(dense)
    pulls = combined_gradients(model, layout, lost)
    moves = Inverse(dense, response.damping, "keep").solve(pulls)
    changes = gradient_products(model.on_test(), layout, moves)
    if not bool(torch.isfinite(changes).all()):
        raise MethodFailure(
            "the linear response is not finite: the damped curvature cannot be inverted.",
            "Give a `damping` above 0, or add weight decay.",
        )
    before = bench.test_losses(planned, torch.float64)
    return before + changes.cpu().numpy(), moves.norm(dim=1).cpu().numpy()
