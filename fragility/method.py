"""What every method is: one pydantic class whose fields are its YAML keys, found by its `kind`."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from typing import Annotated, Any, ClassVar, Generic, TypeVar, Union, get_args

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler
from pydantic_core import CoreSchema

from fragility.errors import UsageError

JSON = None | bool | int | float | str | list["JSON"] | dict[str, "JSON"]


class Method(BaseModel):
    """A method: frozen fields (its YAML keys), a docstring (its documentation) and a computation.

    `revision` is part of the identity of every task that uses the method: raise it when the same
    fields give other numbers than before.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    revision: ClassVar[int] = 1
    added: ClassVar[frozenset[str]] = frozenset()
    """Fields that came later, whose default is what was before: at it they are no part of the
    identity, so that results from before them keep theirs."""
    kind: str

    def identity(self) -> dict[str, JSON]:
        """Returns the canonical form of everything that decides what the method computes."""
        return {"revision": self.revision, **_fields(self, self.added)}


def canonical(value: Any) -> JSON:
    """Returns `value` as plain JSON, methods by their identity; `1` and `1.0` stay apart.

    What is `added` to a method is left out at its default, and so it is of a part of one.
    """
    if isinstance(value, Method):
        return value.identity()
    if isinstance(value, BaseModel):
        return _fields(value, getattr(value, "added", frozenset()))
    if isinstance(value, Mapping):
        return {str(key): canonical(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [canonical(item) for item in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return str(value)


def _fields(value: BaseModel, added: frozenset[str]) -> dict[str, JSON]:
    return {
        name: canonical(getattr(value, name))
        for name, field in type(value).model_fields.items()
        if name not in added or getattr(value, name) != field.default
    }


M = TypeVar("M", bound=Method)


class Room(Generic[M]):
    """All methods of one sort: every public module of a package, and third parties' entry points.

    Use as an annotation marker, `Annotated[Estimator, ESTIMATORS]`: pydantic then reads the field
    as the union of the room's classes, told apart by `kind`.
    """

    def __init__(self, name: str, base: type[M], package: str) -> None:
        self.name = name
        self.base = base
        self.package = package

    @cached_property
    def methods(self) -> dict[str, type[M]]:
        """The room's classes by `kind`, in alphabetical order."""
        package = importlib.import_module(self.package)
        found: dict[str, type[M]] = {}
        for module in pkgutil.iter_modules(package.__path__):
            if not module.name.startswith("_"):
                loaded = importlib.import_module(f"{self.package}.{module.name}")
                for value in vars(loaded).values():
                    if self._is_method(value) and value.__module__ == loaded.__name__:
                        found[kind_of(value)] = value
        for entry in entry_points(group=f"fragility.{self.name}"):
            value = _loaded(entry)
            if self._is_method(value) and found.setdefault(kind_of(value), value) is not value:
                raise UsageError(
                    f"the installed `{entry.value}` is a second `{kind_of(value)}` among the "
                    f"{self.name}.",
                    "Give its class another `kind`, or uninstall its package.",
                )
        return dict(sorted(found.items()))

    def _is_method(self, value: object) -> bool:
        return (
            isinstance(value, type)
            and issubclass(value, self.base)
            and bool(get_args(value.model_fields["kind"].annotation))
        )

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        classes = tuple(self.methods.values())
        if len(classes) == 1:
            return handler.generate_schema(classes[0])
        union = Union[classes]  # type: ignore[valid-type]  # noqa: UP007
        return handler.generate_schema(Annotated[union, Field(discriminator="kind")])


def _loaded(entry: EntryPoint) -> Any:
    try:
        return entry.load()
    except Exception as error:
        raise UsageError(
            f"the installed `{entry.value}` cannot be imported: {type(error).__name__}: {error}.",
            "Repair its package, or uninstall it.",
        ) from error


def kind_of(method: type[Method]) -> str:
    """Returns the word that names a method class in YAML."""
    return str(get_args(method.model_fields["kind"].annotation)[0])
