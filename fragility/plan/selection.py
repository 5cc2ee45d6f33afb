"""Picks tasks of a plan by what they are: `--select` and `--exclude`."""

from __future__ import annotations

from collections.abc import Sequence

from fragility.errors import UsageError, did_you_mean
from fragility.plan.tasks import KINDS, Plan, Task

_METHODS = ("kind", "estimator", "procedure", "cell")


def select(plan: Plan, wanted: Sequence[str], excluded: Sequence[str]) -> frozenset[str]:
    """Returns the ids of the tasks that are wanted and not excluded; all when nothing is said.

    A criterion is `kind:retrain`, `estimator:LABEL`, `procedure:LABEL` or `cell:TEXT` (a cell's id
    or a part of its arm); `+` in front adds everything the tasks depend on. Criteria add up.

    Raises:
        UsageError: a criterion is malformed, or no task answers to it.
    """
    chosen = frozenset(plan.tasks) if not wanted else _union(plan, wanted)
    left = chosen - _union(plan, excluded)
    if not left:
        raise UsageError("the selection leaves no task.", "See `fragility plan` for what there is.")
    return left


def _union(plan: Plan, criteria: Sequence[str]) -> frozenset[str]:
    return frozenset().union(*(_matching(plan, criterion) for criterion in criteria))


def _matching(plan: Plan, criterion: str) -> frozenset[str]:
    upstream = criterion.startswith("+")
    method, colon, value = criterion.removeprefix("+").partition(":")
    if not colon or method not in _METHODS:
        raise UsageError(
            f"`{criterion}` is not a selection.{did_you_mean(method, _METHODS)}",
            f"Write one of {', '.join(f'`{name}:...`' for name in _METHODS)}.",
        )
    found = {task.task_id for task in plan.placements if _is(plan, task, method, value)}
    if not found:
        known = _known(plan, method)
        raise UsageError(
            f"`{criterion}` selects no task.{did_you_mean(value, known)}",
            f"Here: {', '.join(f'`{name}`' for name in known[:12])}.",
        )
    return frozenset(_with_inputs(plan, found) if upstream else found)


def _is(plan: Plan, task: Task, method: str, value: str) -> bool:
    if method == "cell":
        planned = plan.cells[task.cell]
        return planned.cell_id.startswith(value) or value in planned.cell.arm
    return bool(getattr(task, method) == value)


def _known(plan: Plan, method: str) -> list[str]:
    if method == "kind":
        return list(KINDS)
    if method == "cell":
        return sorted({planned.cell.arm for planned in plan.cells})
    return sorted({str(getattr(t, method)) for t in plan.placements if getattr(t, method)})


def _with_inputs(plan: Plan, found: set[str]) -> set[str]:
    reached: set[str] = set()
    waiting = list(found)
    while waiting:
        task_id = waiting.pop()
        if task_id not in reached:
            reached.add(task_id)
            waiting.extend(plan.tasks[task_id].inputs)
    return reached
