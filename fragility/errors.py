"""Every error a user can cause.

FragilityError                exit code 2 unless said otherwise
├── StudyError                the study file has problems; holds all of them, each with its place
├── UsageError                an argument names something that does not exist
├── DataError                 a dataset's file is missing or is not what the study says it is
├── QueryError                the SQL given to `fragility query` is refused
├── MethodFailure             a method cannot answer for this model; recorded with the task
└── StoreError                exit code 3
    ├── StoreLockedError      another run is writing to the store
    └── StoreDamagedError     a file of the store cannot be read
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches


class FragilityError(Exception):
    """An error a user can cause: what happened, and in `hint` what to do about it."""

    exit_code = 2

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message if self.hint is None else f"{self.message} {self.hint}"


@dataclass(frozen=True, order=True)
class Problem:
    """One thing that is wrong in a study file; `line` and `column` count from 1, 0 when unknown."""

    line: int
    column: int
    path: str
    message: str
    width: int = 1

    def located(self, file: str) -> str:
        """Returns `file:line:column: path: message` with the parts that are known."""
        place = f"{file}:{self.line}:{self.column}" if self.line else file
        return f"{place}: {self.path}: {self.message}" if self.path else f"{place}: {self.message}"


class StudyError(FragilityError):
    """The study file has problems; all of them are held, sorted by place."""

    def __init__(self, file: str, problems: Sequence[Problem], text: str = "") -> None:
        self.file = file
        self.problems = tuple(sorted(problems))
        self.text = text
        super().__init__("\n".join(problem.located(file) for problem in self.problems))


class UsageError(FragilityError):
    """An argument names something that does not exist."""


class DataError(FragilityError):
    """A dataset's file is missing or is not what the study says it is."""


class QueryError(FragilityError):
    """The SQL given to `fragility query` is refused."""


class MethodFailure(FragilityError):  # noqa: N818 - a failure is data: the task records it
    """A method cannot answer for this model; the task is recorded as failed with this message."""


class StoreError(FragilityError):
    """The store cannot be used."""

    exit_code = 3


class StoreLockedError(StoreError):
    """Another run is writing to the store."""


class StoreDamagedError(StoreError):
    """A file of the store cannot be read."""


def did_you_mean(word: str, known: Sequence[str]) -> str:
    """Returns ` Did you mean `x`?` for the nearest known word, or an empty string."""
    near = get_close_matches(word, known, n=1, cutoff=0.6)
    return f" Did you mean `{near[0]}`?" if near else ""
