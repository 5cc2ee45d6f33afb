"""The studies that are shipped after a publication."""

from __future__ import annotations

import re

from fragility.report.source import Row
from fragility.resources import resource

_FOLDER = re.compile(r"[a-z-]+-(19|20)\d\d")
"""Authors and year."""


def publication(run: Row) -> str | None:
    """Returns the publication after which the study of a run is shipped, None for any other."""
    folder, _, name = str(run["study_path"]).partition("/")
    shipped = resource("studies") / folder / f"{name}.yaml"
    return folder if _FOLDER.fullmatch(folder) and shipped.is_file() else None
