"""What is written below the fields of a class, read when somebody asks.

pydantic would read it as each class is made (`use_attribute_docstrings`), which is a third of the
time that a command needs to start.
"""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from itertools import pairwise

from pydantic import BaseModel


@cache
def field_docs(model: type[BaseModel]) -> Mapping[str, str]:
    """Returns the string below each field, by name; inherited fields keep theirs.

    Fields of a class whose source cannot be read have none.
    """
    found: dict[str, str] = {}
    for one in reversed(model.__mro__):
        if issubclass(one, BaseModel) and one is not BaseModel:
            found |= _written(one)
    return found


def _written(model: type[BaseModel]) -> dict[str, str]:
    fields = _classes(model.__module__).get(model.__qualname__, ())
    return {
        field.target.id: inspect.cleandoc(below.value.value)
        for field, below in pairwise(fields)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(below, ast.Expr)
        and isinstance(below.value, ast.Constant)
        and isinstance(below.value.value, str)
    }


@cache
def _classes(module: str) -> Mapping[str, list[ast.stmt]]:
    """Returns what stands in each class of a module, by qualified name."""
    try:
        tree = ast.parse(inspect.getsource(sys.modules[module]))
    except (KeyError, OSError, TypeError):
        return {}
    return dict(_within(tree, ""))


def _within(node: ast.AST, prefix: str) -> Iterator[tuple[str, list[ast.stmt]]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef):
            yield f"{prefix}{child.name}", child.body
            yield from _within(child, f"{prefix}{child.name}.")
        elif isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield from _within(child, f"{prefix}{child.name}.<locals>.")
        else:
            yield from _within(child, prefix)
