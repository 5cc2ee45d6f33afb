"""The code that a study names, and the fields of its classes, checked as the rest of the study."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from pydantic import ValidationError

from fragility.errors import StudyError
from fragility.estimators import Estimator
from fragility.estimators.python import Python
from fragility.own_code import OwnCode
from fragility.study.expansion import STUDY, PartKey
from fragility.study.load import LoadedStudy
from fragility.study.nodes import Node, Place
from fragility.study.overrides import with_overrides
from fragility.study.problems import problem_at, problems_of
from fragility.study.shapes import Shape
from fragility.study.sweep import Row, substituted
from fragility.study.yaml import parse


def own_code(loaded: LoadedStudy) -> Iterator[tuple[PartKey, OwnCode]]:
    """Yields every method whose code the study names, with its section, label and swept values."""
    for key, method in loaded.expansion.parts.items():
        if isinstance(method, OwnCode):
            yield key, method


def with_settings(
    loaded: LoadedStudy, label: str, row: Row, named: Python, method: type[Estimator]
) -> Estimator:
    """Returns the estimator that a class makes of the study's settings.

    Raises:
        StudyError: the class refuses them; every problem with its place in the study.
    """
    try:
        return method.model_validate_json(json.dumps(named.settings), strict=True)
    except ValidationError as error:
        path = ("estimators", label, "settings")
        root = _written(loaded, row)
        if root.get(path) is None:
            above = root.get(path[:-1])
            root = root.with_value(path, Node(above.place if above else Place(), {}))
        shape = Shape(Mapping[str, Mapping[str, Mapping[str, method]]])  # type: ignore[valid-type]
        raise StudyError(
            str(loaded.path), problems_of(error, root, shape, path), loaded.text
        ) from None


def problem_of_code(loaded: LoadedStudy, key: PartKey, text: str) -> StudyError:
    """Returns an error at the place where the study names the code."""
    section, label, row = key
    path = (section, label, "python")
    node = _written(loaded, row).get(path)
    assert node is not None
    return StudyError(str(loaded.path), [problem_at(node.place, path, text)], loaded.text)


def _written(loaded: LoadedStudy, row: Row) -> Node:
    root, _ = with_overrides(parse(loaded.text), STUDY, loaded.overrides)
    return substituted(root, row)
