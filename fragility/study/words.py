"""Types in words: `whole number > 0`, `list of numbers`, `train | all`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import NoneType
from typing import Any, Literal, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel, JsonValue

from fragility.study.shapes import Shape

_ONE: Mapping[Any, str] = {
    int: "whole number",
    float: "number",
    str: "text",
    bool: "true | false",
    NoneType: "null",
    JsonValue: "value",
}
_MANY = {int: "whole numbers", float: "numbers", str: "texts", JsonValue: "values"}


def words(shape: Shape, many: bool = False) -> str:
    """Returns a type in words, or what a list of it holds."""
    if len(shape.members) > 1:
        return " | ".join(words(member, many) for member in shape.members)
    if shape.room:
        return f"{'' if many else 'one of the '}{shape.room.name}"
    annotation, origin = shape.annotation, get_origin(shape.annotation)
    arguments = get_args(annotation)
    if origin is Literal:
        return " | ".join(str(word) for word in arguments)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return f"mapping of {words(Shape.of(arguments[1]), many=True)}"
    if isinstance(origin, type) and issubclass(origin, Collection):
        return f"list of {words(Shape.of(arguments[0]), many=True)}"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return f"mapping with {', '.join(annotation.model_fields)}"
    names = {**_ONE, **_MANY} if many else _ONE
    return f"{names.get(annotation, 'text')} {', '.join(_bounds(shape))}".rstrip()


def _bounds(shape: Shape) -> list[str]:
    said = []
    for item in shape.metadata:
        if isinstance(item, Gt):
            said.append(f"> {item.gt}")
        elif isinstance(item, Ge):
            said.append(f">= {item.ge}")
        elif isinstance(item, Lt):
            said.append(f"< {item.lt}")
        elif isinstance(item, Le):
            said.append(f"<= {item.le}")
    return said
