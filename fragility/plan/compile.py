"""Cells -> content-addressed tasks.

A task's id is the digest of everything that decides its result: the identities of the methods it
uses, the ids of the tasks it consumes, the seeds it draws from. Labels, the order of the file and
the number of repeats are no part of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from fragility.identity import digest
from fragility.method import JSON, canonical
from fragility.models import Model
from fragility.plan.catalog import Catalog
from fragility.plan.cell_tasks import CellTasks
from fragility.plan.fusion import STACK_BYTES, batches
from fragility.plan.identities import initial_seed, method_digest, training_digest
from fragility.plan.orders import order_seed
from fragility.plan.tasks import Plan, PlannedCell, Task
from fragility.study.cells import Cell, cells
from fragility.study.load import LoadedStudy


def compile_study(
    loaded: LoadedStudy, catalog: Catalog | None = None, memory: int = STACK_BYTES
) -> Plan:
    """Returns the plan of a study; reads its data, trains nothing.

    `memory` is the most bytes that one stack of models may take.

    Raises:
        StudyError: a procedure asks for points that its dataset does not have.
        DataError: a dataset cannot be read.
    """
    catalog = catalog or Catalog(loaded.path.parent)
    study = loaded.study
    planned = tuple(_plan_cell(cell, catalog) for cell in cells(loaded))
    placements: list[Task] = []
    siblings: dict[str, list[PlannedCell]] = {}
    for cell in planned:
        siblings.setdefault(cell.cell.arm, []).append(cell)
    for position, cell in enumerate(planned):
        repeats = tuple(siblings[cell.cell.arm])
        placements.extend(CellTasks(position, cell, repeats, str(loaded.path)).tasks())
    fused = batches(planned, placements, memory)
    plan_id = digest(
        [
            [[c.cell_id, c.cell.arm, canonical(dict(c.cell.factors))] for c in planned],
            [[t.task_id, t.cell, t.estimator, t.procedure, t.slot] for t in placements],
            [b.batch_id for b in fused],
        ]
    )
    return Plan(
        study=study.study,
        label=loaded.label,
        seed=study.seed,
        cells=planned,
        placements=tuple(placements),
        batches=fused,
        resolved=resolved(loaded),
        plan_id=plan_id,
    )


def resolved(loaded: LoadedStudy) -> dict[str, JSON]:
    """Returns every field of the study, defaults included, by dotted path."""
    return dict(_leaves("", canonical(loaded.study)))


def _leaves(prefix: str, value: JSON) -> Iterator[tuple[str, JSON]]:
    entries = _by_kind(value) if isinstance(value, list) else value
    if isinstance(entries, dict) and entries:
        for key, item in entries.items():
            yield from _leaves(f"{prefix}.{key}" if prefix else key, item)
    else:
        yield prefix, value


def _by_kind(value: list[JSON]) -> JSON:
    """Returns a list of methods by their kinds, numbered if repeated; any other list as it is."""
    kinds: dict[str, JSON] = {}
    for item in value:
        if not isinstance(item, dict) or "kind" not in item:
            return value
        kind, number = str(item["kind"]), 1
        while (key := kind if number == 1 else f"{kind} {number}") in kinds:
            number += 1
        kinds[key] = item
    return kinds


def _plan_cell(cell: Cell, catalog: Catalog) -> PlannedCell:
    data_id = catalog.data_id(cell.dataset, cell.seed)
    facts = catalog.facts(cell.dataset, cell.seed)
    base: list[JSON] = [
        data_id,
        method_digest(cell.model),
        digest(cell.regularization.identity()),
        training_digest(cell.training),
        initial_seed(cell),
    ]
    noisy = bool(cell.regularization.noise(cell.training))
    order = order_seed(cell.seed, cell.repeat, cell.training, noisy=noisy)
    if order is not None:
        base.append(order)
    return PlannedCell(
        cell=cell,
        cell_id=digest(["cell", cell.study, cell.repeat, canonical(dict(cell.factors)), *base]),
        data_id=data_id,
        train_id=digest(["train", *base]),
        facts=facts,
        parameters=_parameters(cell.model, facts.input_shape, facts.outputs),
    )


@lru_cache(maxsize=256)
def _parameters(model: Model, input_shape: tuple[int, ...], outputs: int) -> int | None:
    if not model.known:
        return None
    return model.network(input_shape, outputs).layout.size
