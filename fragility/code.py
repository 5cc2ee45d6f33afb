"""Classes and functions that a study names: `file.py:Name`, or `package.module:Name`.

`find` reads and hashes the source and runs none of it; `load` runs it.
"""

from __future__ import annotations

import hashlib
import importlib
import re
import sys
import traceback
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from importlib.machinery import ModuleSpec
from importlib.metadata import packages_distributions, version
from os.path import isfile
from pathlib import Path
from types import ModuleType

from fragility.errors import UsageError, did_you_mean
from fragility.identity import digest

_REFERENCE = re.compile(r"(?P<where>[^:]+):(?P<name>[^\W\d]\w*)")
_MODULE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")


@dataclass(frozen=True)
class Code:
    """A named class or function that is found and not run: `path` holds its source.

    `content` is what a file held then; of a module it is None.

    `digest` changes with the source; for a module also with the version of what was installed.
    """

    where: str
    name: str
    path: Path
    digest: str
    content: bytes | None = None


def find(reference: str, directory: Path) -> Code:
    """Returns where a named class or function stands; nothing is imported.

    Args:
        reference: `file.py:Name` with a path below `directory`, or `package.module:Name`.
        directory: the study's folder.

    Raises:
        UsageError: it is no such reference, or nothing is there.
    """
    match = _REFERENCE.fullmatch(reference)
    if match is None:
        raise UsageError(
            f"`{reference}` names no class or function.",
            "Write `file.py:Name` or `package.module:Name`.",
        )
    where, name = match["where"], match["name"]
    if where.endswith(".py"):
        path = _file(where, directory)
        content = _read(path)
        source = hashlib.sha256(content).hexdigest()
        return Code(where, name, path, digest(["file", source]), content)
    path = _module(where)
    source = hashlib.sha256(_read(path)).hexdigest()
    return Code(where, name, path, digest(["module", where, source, *_installed(where)]))


def load(code: Code) -> object:
    """Runs the source and returns what has the name in it.

    Raises:
        UsageError: the source fails, or has nothing of that name.
    """
    try:
        module = _run(code) if code.content is not None else importlib.import_module(code.where)
    except (Exception, SystemExit) as error:
        raise UsageError(f"importing `{code.where}` fails{where_it_fails(error, code)}.") from error
    found = vars(module).get(code.name)
    if found is None:
        near = did_you_mean(code.name, [name for name in vars(module) if name[0] != "_"])
        raise UsageError(f"`{code.where}` has no `{code.name}`.{near}")
    return found


def where_it_fails(error: BaseException, code: Code) -> str:
    """Returns ` in line 7: KeyError: 'no'`, of the last line of the code that an error left."""
    told = " ".join(f"{type(error).__name__}: {error}".split()).rstrip(".")
    return f"{_line(error, code.path)}: {told}"


def _run(code: Code) -> ModuleType:
    # What was hashed is what runs: the file is not read again, and no bytecode is kept of it.
    name = f"fragility_study_code_{code.digest}"
    if name not in sys.modules:
        module = ModuleType(name)
        module.__file__ = str(code.path)
        sys.modules[name] = module
        try:
            exec(compile(code.content or b"", str(code.path), "exec"), vars(module))
        except BaseException:
            del sys.modules[name]
            raise
    return sys.modules[name]


def _line(error: BaseException, path: Path) -> str:
    """Returns ` in line 7` for the last line of the source that an error went through."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == str(path)]
    return f" in line {lines[-1]}" if lines else ""


def _file(where: str, directory: Path) -> Path:
    outside = UsageError(
        f"`{where}` is not below the study's folder.",
        "Put the file next to the study, and write its path without `..`.",
    )
    if Path(where).is_absolute() or ".." in Path(where).parts:
        raise outside
    found = directory / where
    if not isfile(found):
        names = sorted(str(path.relative_to(directory)) for path in directory.glob("*.py"))
        raise UsageError(
            f"there is no file `{where}` in the study's folder.{did_you_mean(where, names)}"
        )
    if not found.resolve().is_relative_to(directory.resolve()):
        raise outside
    return found.absolute()


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.") from error


def _module(where: str) -> Path:
    """Returns the file of a module; asks the import system where, level by level."""
    if not _MODULE.fullmatch(where):
        raise UsageError(
            f"`{where}` is neither a module nor a file that ends in `.py`.",
            "Write `file.py:Name` or `package.module:Name`.",
        )
    places: Iterable[str] | None = None
    name, found = "", ModuleSpec("", None)
    for step in where.split("."):
        name = f"{name}.{step}".lstrip(".")
        found = _spec(name, places)
        # What is no package has nothing below it.
        places = found.submodule_search_locations or ()
    if found.origin is None or not isfile(found.origin):
        raise UsageError(f"the module `{where}` has no source file.", "Name the module in it.")
    return Path(found.origin)


def _spec(name: str, places: Iterable[str] | None) -> ModuleSpec:
    # `importlib.util.find_spec` would import the packages that the module lies in. A namespace
    # package in another is a KeyError then: it is found by way of its imported parent alone.
    with suppress(KeyError):
        for finder in sys.meta_path:
            spec = finder.find_spec(name, None if places is None else list(places))
            if spec is not None:
                return spec
    raise UsageError(
        f"there is no module `{name}`.",
        "Install the package it belongs to, or name a file: `file.py:Name`.",
    )


def _installed(where: str) -> list[str]:
    """Returns the distributions that hold a module's package, each with its version."""
    names = packages_distributions().get(where.partition(".")[0], [])
    return sorted(f"{name} {version(name)}" for name in set(names))
