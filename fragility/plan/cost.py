"""How much a plan will compute, counted in gradients of one model over all examples."""

from __future__ import annotations

from collections.abc import Iterable

from fragility.plan.tasks import Plan, Task


def budget(plan: Plan, task: Task) -> int:
    """Returns the most gradients over all examples, steps or epochs, that a training takes."""
    cell = plan.cells[task.cell].cell
    if task.kind == "train":
        return cell.training.budget
    if task.kind == "retrain":
        return cell.procedures[str(task.procedure)].retraining(cell.training).budget
    return 0


def gradient_evaluations(plan: Plan, tasks: Iterable[Task]) -> int:
    """Returns the most gradient evaluations of the trainings among some tasks."""
    return sum(budget(plan, task) for task in tasks)
