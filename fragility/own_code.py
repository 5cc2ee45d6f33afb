"""Methods whose code a study names: read and hashed with the study, imported by a run alone."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

from pydantic import JsonValue, PrivateAttr, ValidationInfo, field_validator

from fragility.code import Code, find, where_it_fails
from fragility.errors import UsageError
from fragility.method import JSON, Method


class OwnCode(Method):
    """A method that a study's own code computes."""

    python: str
    """Where it stands: `file.py:Name`, with a path below the study's folder, or
    `package.module:Name`."""
    settings: Mapping[str, JsonValue] = {}
    """What it is given by name."""
    _code: Code = PrivateAttr()

    @field_validator("python")
    @classmethod
    def _is_there(cls, reference: str, info: ValidationInfo) -> str:
        try:
            find(reference, _directory(info.context))
        except UsageError as error:
            raise ValueError(str(error)) from error
        return reference

    def model_post_init(self, context: Any) -> None:
        """Keeps the code as it is when the study is loaded."""
        self._code = find(self.python, _directory(context))

    @property
    def code(self) -> Code:
        """The source, as it was when the study was loaded."""
        return self._code

    def identity(self) -> dict[str, JSON]:
        """Returns the fields with the hash of the code."""
        return {**super().identity(), "code": self.code.digest}

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    @property
    def _key(self) -> tuple[object, ...]:
        # Text, because settings are not hashable, and `1` and `true` must stay apart.
        return (json.dumps(self.model_dump(mode="json"), sort_keys=True), self.code.digest)


class CalledCode(OwnCode):
    """A method that calls what its code names, once a run has imported it."""

    _found: Callable[..., object] | None = PrivateAttr(default=None)

    @property
    def known(self) -> bool:
        """Whether a run has imported the code."""
        return self._found is not None

    def imported(self, found: object) -> Self:
        """Returns the method with what its code was found to be.

        Raises:
            UsageError: it cannot be called.
        """
        if not callable(found):
            raise UsageError(f"`{self.code.name}` is no function and no class.")
        copy = self.model_copy()
        copy._found = found
        return copy

    def call(self, *arguments: object) -> object:
        """Returns what the code makes of some arguments and the settings.

        Raises:
            UsageError: it fails, or is not imported.
        """
        if self._found is None:
            raise UsageError(
                f"`{self.python}` is not imported.", "Use `fragility run --allow-code`."
            )
        try:
            return self._found(*arguments, **self.settings)
        except Exception as error:
            raise UsageError(f"`{self.python}` fails{where_it_fails(error, self.code)}.") from error

    @property
    def _key(self) -> tuple[object, ...]:
        return (*super()._key, self.known)


def _directory(context: Mapping[str, Path] | None) -> Path:
    return context["study_dir"] if context else Path()
