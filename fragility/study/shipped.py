"""The studies that travel with the program; reads no YAML and loads no methods."""

from __future__ import annotations

from pathlib import Path

from fragility.resources import resource


def shipped_studies() -> dict[str, Path]:
    """Returns the file of each shipped study by its name, such as `epifano-2023/iris-depth`."""
    root = resource("studies")
    files = sorted(root.rglob("*.yaml"))
    return {path.relative_to(root).with_suffix("").as_posix(): path for path in files}
