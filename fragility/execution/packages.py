"""Packages that estimators run and an installation need not have."""

from __future__ import annotations

from collections.abc import Set
from importlib.util import find_spec

from fragility.errors import UsageError
from fragility.estimators import installation
from fragility.plan.tasks import Plan


def needed_packages(plan: Plan, left: Set[str]) -> dict[str, str]:
    """Returns the packages that the tasks left to do need, by the estimators' labels."""
    needed = {}
    for task in plan.tasks.values():
        if task.kind == "estimate" and task.task_id in left:
            label = str(task.estimator)
            package = plan.cells[task.cell].cell.estimators[label].package
            if package is not None:
                needed[label] = package
    return needed


def check_packages(plan: Plan, left: Set[str]) -> None:
    """Looks for the packages that the tasks left to do need, before anything is computed.

    Raises:
        UsageError: one is not installed, with the command that installs it.
    """
    missing = [
        f"estimator `{label}` needs the package {package}: {installation(package)}"
        for label, package in needed_packages(plan, left).items()
        if find_spec(package) is None
    ]
    if missing:
        raise UsageError("\n".join(missing))
