"""Where the files that travel with the program are: shipped studies and report templates."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path


def resource(name: str) -> Path:
    """Returns the folder `name` (`studies` or `templates`) as it was installed.

    A wheel carries it inside the package, under `_data`; an editable installation or a checkout
    has it beside the package.
    """
    package = Path(str(files("fragility")))
    installed = package / "_data" / name
    return installed if installed.is_dir() else package.parent / name
