"""Tasks -> batches.

What a batch holds follows from the plan alone, never from what is already done: an interrupted run
meets the same batches again, and a batch is stored whole or not at all.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod

from fragility.identity import digest
from fragility.method import JSON, canonical
from fragility.plan.tasks import KINDS, Batch, PlannedCell, Task
from fragility.procedures import Procedure

STACK_BYTES = 2**30
"""Largest memory of one stack of models, unless `--memory` says otherwise."""

_NUMBERS_A_PARAMETER = 60

OWN_FEATURES_BYTES = 256 * 2**10
"""Largest features of a frozen prefix for which base models share a stack, each with its own."""

_CELLS_A_BATCH = 32


def batches(
    cells: Sequence[PlannedCell], placements: Sequence[Task], memory: int = STACK_BYTES
) -> tuple[Batch, ...]:
    """Returns the batches in an order in which every task stands behind its inputs."""
    groups: dict[str, list[Task]] = {}
    limits: dict[str, int] = {}
    keys: dict[tuple[object, ...], str] = {}
    seen: set[str] = set()
    for task in placements:
        if task.task_id in seen:
            continue
        seen.add(task.task_id)
        place = (
            *(task.kind, task.cell, task.procedure, task.selection, task.estimator),
            task.groups,
        )
        if place not in keys:
            keys[place] = _key(cells[task.cell], task)
            limits.setdefault(keys[place], _limit(cells[task.cell], task, memory))
        groups.setdefault(keys[place], []).append(task)
    ordered = [
        Batch(digest([task.task_id for task in chunk]), chunk[0].kind, tuple(chunk))
        for key, tasks in groups.items()
        for chunk in _chunks(tasks, limits[key])
    ]
    return tuple(sorted(ordered, key=_turn))


def _turn(batch: Batch) -> tuple[int, bool, str]:
    """Returns the place of a batch: what needs another of its kind comes after it."""
    first = batch.tasks[0]
    # Groups may be drawn by scores of points; effects come before the agreements with them.
    return KINDS.index(batch.kind), first.groups, first.estimator or ""


def _key(planned: PlannedCell, task: Task) -> str:
    """Returns the digest of what tasks must share to stand in one batch."""
    cell = planned.cell
    shape: list[JSON] = [task.kind, planned.data_id, digest(cell.model.identity())]
    if task.kind == "train":
        return digest([*shape, cell.training.fusion(), cell.regularization.fusion()])
    if task.procedure is not None and _varies(cell.procedures[task.procedure], task):
        shape.append(planned.train_id)
    if task.kind == "retrain":
        procedure = cell.procedures[str(task.procedure)]
        recorded: JSON = None
        conduct = procedure.conduct
        if conduct.record_every:
            recorded = [conduct.record_every, task.selection]
        fusion: JSON = procedure.retraining(cell.training).fusion()
        if _features(planned, task) * 8 > OWN_FEATURES_BYTES:
            shape.append(planned.train_id)
        parameters = canonical(procedure.parameters)
        of_its_own = digest(procedure.identity()) if procedure.linear_response else None
        bregman = procedure.proximity is not None and procedure.proximity.bregman
        near = [procedure.proximity is not None, bregman, of_its_own]
        fusion = [fusion, cell.regularization.fusion()]
        begun: list[JSON] = [conduct.resumes, conduct.from_last]
        return digest([*shape, fusion, parameters, *begun, recorded, *near])
    groups = task.procedure if task.groups else None
    return digest([*shape, task.selection, task.estimator is None, len(task.inputs), groups])


def _varies(procedure: Procedure, task: Task) -> bool:
    """Returns whether the model decides how many points the task is about, if any.

    Tables of one batch have one shape, and one model without points fails its own tasks only.
    """
    if task.kind != "retrain":
        return procedure.test_points.varies
    watched = procedure.conduct.record_every > 0 and procedure.test_points.varies
    return watched or (procedure.chooses_by is not None and procedure.chooses_by.varies)


def _limit(planned: PlannedCell, task: Task, memory: int) -> int:
    """Returns how many tasks a batch of this shape may hold."""
    facts = planned.facts
    if task.kind not in ("train", "retrain"):
        return _CELLS_A_BATCH
    # Activations are held for a few models at a time; example weights, optimizer state (L-BFGS
    # keeps the most) and features of a frozen prefix for all.
    features = _features(planned, task)
    parameters = planned.parameters or 0
    if (parts := None if task.procedure is None else planned.parts(task.procedure)) is not None:
        parameters = parts[1].layout.size
    numbers = 3 * facts.n_train + _NUMBERS_A_PARAMETER * parameters
    if features * 8 > OWN_FEATURES_BYTES:
        # All models of the stack have one base model, and share them.
        memory -= features * 8
    else:
        numbers += features
    return max(1, memory // (8 * numbers))


def _features(planned: PlannedCell, task: Task) -> int:
    """Returns how many numbers a frozen prefix hands on; 0 where none is cached."""
    shape = None if task.procedure is None else planned.features(task.procedure)
    return 0 if shape is None else planned.facts.n_train * prod(shape)


def _chunks(tasks: Sequence[Task], limit: int) -> Iterator[Sequence[Task]]:
    for start in range(0, len(tasks), limit):
        yield tasks[start : start + limit]
