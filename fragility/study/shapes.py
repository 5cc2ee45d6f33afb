"""What may stand where in a study, read from the annotations of the classes.

Serves everything that must know the legal words at a place without validating: unknown keys,
swept paths, `--set` paths, the documentation of methods.
"""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from fragility.method import Room
from fragility.study.nodes import Node


@dataclass(frozen=True)
class Shape:
    """A type as annotated: the type itself, and what `Annotated` says of it."""

    annotation: Any
    metadata: tuple[Any, ...] = ()

    @classmethod
    def of(cls, annotation: Any) -> Shape:
        """Returns the shape of an annotation."""
        if get_origin(annotation) is Annotated:
            inner, *said = get_args(annotation)
            shape = cls.of(inner)
            flat = (
                x
                for item in said
                for x in (item.metadata if isinstance(item, FieldInfo) else [item])
            )
            return cls(shape.annotation, (*shape.metadata, *flat))
        return cls(annotation)

    @classmethod
    def of_field(cls, field: FieldInfo) -> Shape:
        """Returns the shape of a model's field."""
        shape = cls.of(field.annotation)
        return cls(shape.annotation, (*shape.metadata, *field.metadata))

    @property
    def room(self) -> Room[Any] | None:
        """The room whose methods may stand here, if it is a method's place."""
        own = next((item for item in self.metadata if isinstance(item, Room)), None)
        if own is not None or self.members == (self,):
            return own
        return next((member.room for member in self.members if member.room is not None), None)

    @property
    def members(self) -> tuple[Shape, ...]:
        """The members of a union; a type that is none is its own only member."""
        if get_origin(self.annotation) in (Union, types.UnionType):
            return tuple(Shape.of(member) for member in get_args(self.annotation))
        return (self,)

    def model(self, node: Node | None) -> type[BaseModel] | None:
        """Returns the class whose fields may stand at `node`, when its `kind` says which."""
        for member in self.members:
            room = member.room or self.room
            if room is not None:
                kind = node.child("kind") if node else None
                word = kind.value if kind else node.value if node else None
                return room.methods.get(word) if isinstance(word, str) else None
            if isinstance(member.annotation, type) and issubclass(member.annotation, BaseModel):
                return member.annotation
        return None

    def child(self, node: Node | None, key: str | int) -> Shape | None:
        """Returns what may stand under `key` of `node`, or None when nothing may."""
        model = self.model(node)
        if model is not None:
            field = model.model_fields.get(str(key))
            return Shape.of_field(field) if field else None
        for member in self.members:
            origin, args = get_origin(member.annotation), get_args(member.annotation)
            if not isinstance(origin, type):
                continue
            if issubclass(origin, Mapping):
                return Shape.of(args[1])
            if issubclass(origin, Sequence) and node and node.child(key):
                return Shape.of(args[0])
        return None


def shape_at(root: Shape, node: Node | None, path: Sequence[str | int]) -> Shape | None:
    """Returns the shape at `path`, or None when nothing may stand there or no `kind` says what."""
    shape: Shape | None = root
    for key in path:
        shape = shape.child(node, key) if shape else None
        node = node.child(key) if node else None
    return shape
