"""Where data are looked for that do not come with a package."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from fragility.errors import DataError

VARIABLE = "FRAGILITY_DATA"


@dataclass(frozen=True)
class Place:
    """A folder that may hold data, and whose choice it was."""

    folder: Path
    choice: str

    def __str__(self) -> str:
        return f"{self.folder} ({self.choice})"


def places(root: str | None, directory: Path, choice: str = "`root` of the study") -> list[Place]:
    """Returns the folders to look in, in order.

    They are `root`, relative to the study's folder `directory`; what `FRAGILITY_DATA` or `--data`
    names; and `data` in the working directory. What data are is their content, so that it makes no
    difference to a result which of them has it.
    """
    found = [] if root is None else [Place(_absolute(directory, root), choice)]
    if named := os.environ.get(VARIABLE):
        found.append(Place(_absolute(Path.cwd(), named), VARIABLE))
    found.append(Place(Path.cwd() / "data", "`data` in the working directory"))
    return found


def first_with(files: Iterable[str], among: Sequence[Place]) -> Path | None:
    """Returns the first folder that holds all the files, or None."""
    wanted = tuple(files)
    for place in among:
        if all((place.folder / name).is_file() for name in wanted):
            return place.folder
    return None


def local_path(path: str, directory: Path) -> Path:
    """Returns the file or folder that a study's `path` means.

    An absolute path means itself; others start at the study's folder `directory`, at
    `FRAGILITY_DATA`, or at `data` in the working directory, the first that has it.

    Raises:
        DataError: there is none.
    """
    candidates = [
        Place(_absolute(place.folder, path), place.choice)
        for place in places(".", directory, "beside the study")
    ]
    for candidate in candidates:
        if candidate.folder.exists():
            return candidate.folder
    # An absolute path is the same whatever it starts from.
    listed = dict.fromkeys(
        str(one.folder) if Path(path).is_absolute() else str(one) for one in candidates
    )
    raise DataError(
        f"`path: {path}` is not on this machine; looked for {', '.join(listed)}.",
        "Relative paths start at the study's folder, at FRAGILITY_DATA (or --data), or at `data`.",
    )


def _absolute(start: Path, path: str) -> Path:
    return Path(os.path.normpath(Path(start, Path(path).expanduser()).absolute()))
