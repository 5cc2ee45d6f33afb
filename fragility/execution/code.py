"""Code of a study's own: imported by a run, and only when its user said so."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import replace
from typing import get_args

from fragility.code import load
from fragility.errors import Problem, StudyError, UsageError
from fragility.estimators import Estimator
from fragility.estimators.python import Python
from fragility.plan.tasks import Plan, PlannedCell
from fragility.study.load import LoadedStudy
from fragility.study.settings import named_classes, problem_of_class, with_settings
from fragility.study.sweep import Row


def imported(loaded: LoadedStudy, *, allowed: bool) -> dict[Python, Estimator]:
    """Returns the estimators whose classes the study names, made of their settings.

    Raises:
        UsageError: the study names some, and running its code is not allowed.
        StudyError: a class cannot be imported, is no estimator, or refuses its settings.
    """
    named = list(named_classes(loaded))
    if named and not allowed:
        raise _not_allowed(loaded, {label: python for label, _, python in named})
    found: dict[Python, Estimator] = {}
    problems: list[Problem] = []
    for label, row, python in named:
        try:
            found[python] = _made(loaded, label, row, python)
        except StudyError as error:
            problems += error.problems
    if problems:
        raise StudyError(str(loaded.path), list(dict.fromkeys(problems)), loaded.text)
    return found


def with_code(plan: Plan, found: Mapping[Python, Estimator]) -> Plan:
    """Returns the plan with imported estimators in place of those that name their classes."""

    def filled(planned: PlannedCell) -> PlannedCell:
        estimators = {
            label: found[method] if isinstance(method, Python) else method
            for label, method in planned.cell.estimators.items()
        }
        return replace(planned, cell=replace(planned.cell, estimators=estimators))

    return replace(plan, cells=tuple(map(filled, plan.cells))) if found else plan


def _not_allowed(loaded: LoadedStudy, named: Mapping[str, Python]) -> UsageError:
    sources = dict.fromkeys(str(python.code.path) for python in named.values())
    labels = ", ".join(f"`{label}`" for label in named)
    return UsageError(
        f"{loaded.label} runs code of its own, {', '.join(f'`{path}`' for path in sources)} "
        f"for {labels}, and a run does that only when it is told to. Nothing was run.",
        "Read the code, then add `--allow-code` to the command.",
    )


def _made(loaded: LoadedStudy, label: str, row: Row, python: Python) -> Estimator:
    try:
        method = _estimator_class(python.code.name, load(python.code))
    except UsageError as error:
        raise problem_of_class(loaded, label, row, str(error)) from error
    made = with_settings(loaded, label, row, python, method)
    if unplanned := _unplanned(python, made):
        raise problem_of_class(loaded, label, row, unplanned)
    return made


def _unplanned(python: Python, made: Estimator) -> str | None:
    """Returns what a plan would have had to know before the class was imported, or None."""
    if made.models != python.models:
        return (
            f"`{python.code.name}` averages over {made.models} models, which must be known before "
            f"it is imported. Write `settings: {{ensemble: {made.models}}}`."
        )
    if made.scores_groups != python.scores_groups:
        return (
            f"`{python.code.name}` scores groups in a way of its own, which must be known before "
            "it is imported. Install its package with an entry point, and use its `kind`."
        )
    return None


def _estimator_class(name: str, found: object) -> type[Estimator]:
    if not (isinstance(found, type) and issubclass(found, Estimator)):
        raise UsageError(f"`{name}` does not derive from `fragility.estimators.Estimator`.")
    if inspect.isabstract(found):
        missing = ", ".join(f"`{method}`" for method in sorted(found.__abstractmethods__))
        raise UsageError(f"`{name}` lacks the method {missing}.")
    if not get_args(found.model_fields["kind"].annotation):
        word = name.lower()
        raise UsageError(f'`{name}` has no kind. Add `kind: Literal["{word}"] = "{word}"`.')
    return found
