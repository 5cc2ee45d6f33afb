"""The documentation of a method, read from its class."""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from fragility.errors import UsageError, did_you_mean
from fragility.field_docs import field_docs
from fragility.method import Method, Room, canonical, kind_of
from fragility.study.messages import listed, quoted
from fragility.study.nodes import flow
from fragility.study.shapes import Shape
from fragility.study.words import words

_ROOMS = {
    "datasets": "fragility.datasets",
    "models": "fragility.models",
    "regularizers": "fragility.regularizers",
    "training": "fragility.training",
    "optimizers": "fragility.training.optimizers",
    "schedules": "fragility.training.schedules",
    "estimators": "fragility.estimators",
    "procedures": "fragility.procedures",
    "selectors": "fragility.selectors",
    "groups": "fragility.groups",
    "metrics": "fragility.metrics",
    "protocols": "fragility.protocols",
    "diagnostics": "fragility.diagnostics",
}
_MARKS = {"valid when": "valid_when", "cost": "cost", "reference": "reference"}


@dataclass(frozen=True)
class FieldDoc:
    """One YAML key of a method; `default` is YAML text, None for a key that must be given.

    `fields` are the keys of what stands there, where that is a mapping with keys of its own.
    """

    name: str
    type: str
    default: str | None
    description: str
    fields: tuple[FieldDoc, ...] = ()


@dataclass(frozen=True)
class MethodDoc:
    """What a method's class says of it; texts that it does not have are empty."""

    room: str
    kind: str
    summary: str
    prose: str
    valid_when: str
    cost: str
    reference: str
    fields: tuple[FieldDoc, ...]


def room_names() -> list[str]:
    """Returns the names of the rooms in the order of a study's keys; loads no methods."""
    return list(_ROOMS)


def room(name: str) -> Room[Any]:
    """Returns a room by its name.

    Raises:
        UsageError: there is no room of that name.
    """
    if name not in _ROOMS:
        hint = f"{did_you_mean(name, list(_ROOMS))} Known: {listed(list(_ROOMS))}."
        raise UsageError(f"{quoted(name)} is not a kind of method.", hint.strip())
    members = vars(import_module(_ROOMS[name])).values()
    return next(item for item in members if isinstance(item, Room) and item.name == name)


def describe_room(name: str) -> list[MethodDoc]:
    """Returns the documentation of every method of a room, by kind.

    Raises:
        UsageError: there is no room of that name.
    """
    return [documentation(name, method) for method in room(name).methods.values()]


def describe(name: str, kind: str) -> MethodDoc:
    """Returns the documentation of one method.

    Raises:
        UsageError: there is no such room, or no such method in it.
    """
    methods = room(name).methods
    if kind not in methods:
        hint = f"{did_you_mean(kind, list(methods))} Known: {listed(list(methods))}."
        raise UsageError(f"{quoted(kind)} is not one of the {name}.", hint.strip())
    return documentation(name, methods[kind])


def documentation(name: str, method: type[Method]) -> MethodDoc:
    """Returns what a class says of itself, as one of the methods of a room."""
    text = inspect.cleandoc(method.__doc__ or "")
    sections = dict.fromkeys(_MARKS.values(), "")
    for mark, section in _MARKS.items():
        pattern = rf"^{mark}: (.*?)(?=\n\n|\n(?:{'|'.join(_MARKS)}):|\Z)"
        found = re.search(pattern, text, re.MULTILINE | re.DOTALL | re.IGNORECASE)
        if found:
            sections[section] = " ".join(found.group(1).split())
            text = text.replace(found.group(0), "")
    summary, _, prose = text.strip().partition("\n\n")
    return MethodDoc(
        room=name,
        kind=kind_of(method),
        summary=" ".join(summary.split()),
        prose="\n\n".join(" ".join(part.split()) for part in prose.strip().split("\n\n") if part),
        **sections,
        # Mappings that are empty unless named come last.
        fields=tuple(sorted(_fields(method), key=lambda field: field.default == "{}")),
    )


def _fields(method: type[Method]) -> list[FieldDoc]:
    """Returns the fields but the kind."""
    return [_field(method, name, field) for name, field in _own_first(method) if name != "kind"]


def _own_first(method: type[BaseModel]) -> list[tuple[str, FieldInfo]]:
    """Returns the fields, those of the class itself before inherited ones."""
    own = inspect.get_annotations(method)
    return sorted(method.model_fields.items(), key=lambda item: item[0] not in own)


def _field(model: type[BaseModel], name: str, field: FieldInfo) -> FieldDoc:
    default = (
        None if field.is_required() else _written(field.get_default(call_default_factory=True))
    )
    description = " ".join(field_docs(model).get(name, "").split())
    shape = Shape.of_field(field)
    inner = shape.model(None) if shape.room is None else None
    fields = tuple(_field(inner, key, one) for key, one in _own_first(inner)) if inner else ()
    return FieldDoc(name, words(shape), default, description, fields)


def _written(value: Any) -> str:
    """Returns a default as it would stand in YAML, of a mapping only what must be said."""
    if isinstance(value, Method):
        changed = value.model_dump(mode="json", exclude_defaults=True)
        return flow({"kind": value.kind, **changed})
    if isinstance(value, BaseModel):
        return flow(value.model_dump(mode="json", exclude_defaults=True))
    return flow(canonical(value))
