"""Datasets in files: which path is meant, and what its content is."""

from __future__ import annotations

import hashlib
from pathlib import Path

from fragility.errors import DataError, did_you_mean

PATTERN = "*?[]"


def local_file(path: str, directory: Path) -> Path:
    """Return the absolute path of a plain local file; a relative `path` starts at `directory`.

    Raises:
        DataError: `path` is an address or a pattern, or there is no such file.
    """
    if "://" in path:
        raise DataError(
            f"`{path}` is an address; only files on this machine are read.",
            "Download it once and give the file's path.",
        )
    if any(character in path for character in PATTERN):
        raise DataError(
            f"`{path}` is a pattern; one file is read.",
            "Name the file, or join the files into one. A name must not hold any of * ? [ ].",
        )
    found = Path(directory, path).absolute()
    if any(character in str(found) for character in PATTERN):
        raise DataError(
            f"{found} cannot be read: its folder's name holds one of * ? [ ].",
            "Rename the folder, or move the file.",
        )
    if found.is_dir():
        raise DataError(f"{found} is a folder.", "Name the file in it.")
    if not found.is_file():
        folder = found.parent
        names = sorted(entry.name for entry in folder.iterdir()) if folder.is_dir() else []
        lost = "" if folder.is_dir() else f" (there is no folder {folder})"
        raise DataError(
            f"There is no file {found}{lost}.{did_you_mean(found.name, names)}",
            "Relative paths start at the study's folder.",
        )
    return found


def content_digest(path: Path) -> str:
    """Return the SHA-256 of a file's content.

    Raises:
        DataError: The file cannot be read.
    """
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise DataError(
            f"{path} cannot be read: {error.strerror}.", "Check its permissions."
        ) from error
