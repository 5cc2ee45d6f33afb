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
from fragility.method import Method
from fragility.own_code import CalledCode, OwnCode
from fragility.plan.tasks import Plan, PlannedCell
from fragility.study.expansion import PartKey
from fragility.study.load import LoadedStudy
from fragility.study.settings import own_code, problem_of_code, with_settings


def imported(loaded: LoadedStudy, *, allowed: bool) -> tuple[LoadedStudy, dict[Python, Estimator]]:
    """Returns the study with its code imported, and its estimators' classes with their settings.

    Raises:
        UsageError: the study names code, and running it is not allowed.
        StudyError: it cannot be imported, or is not what its place in the study asks for.
    """
    named = dict(own_code(loaded))
    if named and not allowed:
        raise _not_allowed(loaded, named)
    parts: dict[PartKey, Method] = dict(loaded.expansion.parts)
    estimators: dict[Python, Estimator] = {}
    problems: list[Problem] = []
    for key, method in named.items():
        try:
            if isinstance(method, Python):
                estimators[method] = _made(loaded, key, method)
            elif isinstance(method, CalledCode):
                parts[key] = _called(loaded, key, method)
        except StudyError as error:
            problems += error.problems
    if problems:
        raise StudyError(str(loaded.path), list(dict.fromkeys(problems)), loaded.text)
    return replace(loaded, expansion=replace(loaded.expansion, parts=parts)), estimators


def with_code(plan: Plan, found: Mapping[Python, Estimator]) -> Plan:
    """Returns the plan with imported estimators in place of those that name their classes."""

    def filled(planned: PlannedCell) -> PlannedCell:
        estimators = {
            label: found[method] if isinstance(method, Python) else method
            for label, method in planned.cell.estimators.items()
        }
        return replace(planned, cell=replace(planned.cell, estimators=estimators))

    return replace(plan, cells=tuple(map(filled, plan.cells))) if found else plan


def _not_allowed(loaded: LoadedStudy, named: Mapping[PartKey, OwnCode]) -> UsageError:
    sources = dict.fromkeys(str(method.code.path) for method in named.values())
    labels = ", ".join(dict.fromkeys(f"`{label}`" for _, label, _ in named))
    return UsageError(
        f"{loaded.label} runs code of its own, {', '.join(f'`{path}`' for path in sources)} "
        f"for {labels}, and a run does that only when it is told to. Nothing was run.",
        "Read the code, then add `--allow-code` to the command.",
    )


def _called(loaded: LoadedStudy, key: PartKey, method: CalledCode) -> CalledCode:
    try:
        return method.imported(load(method.code))
    except UsageError as error:
        raise problem_of_code(loaded, key, str(error)) from error


def _made(loaded: LoadedStudy, key: PartKey, python: Python) -> Estimator:
    _, label, row = key
    try:
        method = _estimator_class(python.code.name, load(python.code))
    except UsageError as error:
        raise problem_of_code(loaded, key, str(error)) from error
    made = with_settings(loaded, label, row, python, method)
    if unplanned := _unplanned(python, made):
        raise problem_of_code(loaded, key, unplanned)
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
