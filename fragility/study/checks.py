"""What a class by itself cannot check: what one part of a study says of another."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import ValidationError

from fragility.errors import Problem, did_you_mean
from fragility.groups import Grouping
from fragility.method import Room
from fragility.metrics import METRICS
from fragility.selectors import Selector
from fragility.study.messages import listed, quoted
from fragility.study.nodes import Node, Path, Place
from fragility.study.problems import missing_kind, problem_at
from fragility.study.shapes import Shape


def cross_checks(root: Node, shape: Shape) -> Iterator[Problem]:
    """Yields what is wrong between the parts of a study, valid or not by themselves."""
    for path, node, key, room in _methods(shape, root, (), root.place):
        # Pydantic asks for the `kind` only where a room has several methods.
        if isinstance(node.value, dict) and "kind" not in node.entries:
            yield missing_kind(key, path, room)
    yield from unknown_estimators(root, shape)
    for section in ("metrics", "protocols", "diagnostics"):
        yield from _named_twice(root, section)


def unknown_estimators(root: Node, shape: Shape) -> Iterator[Problem]:
    """Yields the selectors and groupings by scores of an estimator the study does not have."""
    estimators = root.child("estimators")
    labels = list(estimators.entries) if estimators else []
    for path, node, _, room in _methods(shape, root, (), root.place):
        method = room.methods.get(str(_word(node)))
        named = node.child("estimator")
        if (
            method is not None
            and issubclass(method, (Selector, Grouping))
            and named
            and isinstance(named.value, str)
            and named.value not in labels
        ):
            here = f" Estimators here: {listed(labels)}." if labels else ""
            near = did_you_mean(named.value, labels)
            text = f"the study has no estimator {quoted(named.value)}.{near}{here}"
            yield problem_at(named.place, (*path, "estimator"), text)


def _methods(
    shape: Shape, node: Node, path: Path, key: Place
) -> Iterator[tuple[Path, Node, Place, Room[Any]]]:
    """Yields every place of the file where a method stands, with the room it must come from."""
    for member in shape.members:
        room = member.room or shape.room
        if room is not None:
            yield path, node, key, room
            break
    steps: list[tuple[str | int, Node, Place]] = [
        (name, entry.node, entry.key) for name, entry in node.entries.items()
    ]
    steps += [(position, item, item.place) for position, item in enumerate(node.items)]
    for step, inner, place in steps:
        below = shape.child(node, step)
        if below is not None:
            yield from _methods(below, inner, (*path, step), place)


def _named_twice(root: Node, section: str) -> Iterator[Problem]:
    """Tables and pages know these by kind, metrics by label: one word can be there only once."""
    methods = root.child(section)
    seen: set[object] = set()
    for position, node in enumerate(methods.items if methods else ()):
        word = _label(node) if section == "metrics" else _word(node)
        if isinstance(word, str) and word in seen:
            yield problem_at(node.place, (section, position), f"{quoted(word)} is there twice.")
        seen.add(word if isinstance(word, str) else None)


def _label(node: Node) -> object:
    """Returns the label of a metric; where its settings are wrong, its kind."""
    word = _word(node)
    metric = METRICS.methods.get(word) if isinstance(word, str) else None
    if metric is None or not node.entries:
        return word
    try:
        return metric.model_validate(node.plain()).label
    except ValidationError:
        return word


def _word(node: Node) -> object:
    kind = node.child("kind")
    return kind.value if kind else node.value
