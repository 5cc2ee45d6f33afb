"""What the shell completes besides commands and options; never imports torch, never fails."""

from __future__ import annotations

import os
import re
from pathlib import Path

import typer

ROOMS = (
    "datasets",
    "models",
    "regularizers",
    "training",
    "optimizers",
    "schedules",
    "estimators",
    "selectors",
    "procedures",
    "metrics",
    "protocols",
    "diagnostics",
    "references",
)
KIND = re.compile(r"^    kind: Literal\[\"([\w-]+)\"\]", re.MULTILINE)


def studies(incomplete: str) -> list[str]:
    """Returns the shipped studies and the study files that begin so."""
    from fragility.study.shipped import shipped_studies

    folder = Path(incomplete).parent if "/" in incomplete else Path()
    files = sorted(str(path) for path in folder.glob("*") if path.suffix in (".yaml", ".yml"))
    return [name for name in (*shipped_studies(), *files) if name.startswith(incomplete)]


def presets(incomplete: str) -> list[str]:
    """Returns what `init` can start from."""
    from fragility.study.shipped import shipped_studies

    return [name for name in ("minimal", *shipped_studies()) if name.startswith(incomplete)]


def runs(context: typer.Context, incomplete: str) -> list[str]:
    """Returns the ids of runs that begin so, newest first."""
    return [run_id for run_id, _ in _known_runs(context) if run_id.startswith(incomplete)]


def reports(context: typer.Context, incomplete: str) -> list[str]:
    """Returns what `report` can be asked for: studies that were run, and runs."""
    known = _known_runs(context)
    names = [*dict.fromkeys(study for _, study in known), *(run_id for run_id, _ in known)]
    return [name for name in names if name.startswith(incomplete)]


def comparable(context: typer.Context, incomplete: str) -> list[str]:
    """Returns what a run can be compared with: references, and the ids of runs."""
    from fragility.references import reference_names

    names = [*reference_names(), *(run_id for run_id, _ in _known_runs(context))]
    return [name for name in names if name.startswith(incomplete)]


def rooms(incomplete: str) -> list[str]:
    """Returns the sorts of method that begin so."""
    return [name for name in ROOMS if name.startswith(incomplete)]


def kinds(context: typer.Context, incomplete: str) -> list[str]:
    """Returns the kinds of the room that was typed before; read from its files, not imported."""
    room = str(context.params.get("room") or "")
    if room in ("reference", "references"):
        from fragility.references import reference_names

        return [name for name in reference_names() if name.startswith(incomplete)]
    package = Path(__file__).parents[1]
    for folder in (package / room, package / "training" / room, package / f"{room}s"):
        if room and folder.is_dir():
            found = [
                kind for path in folder.glob("*.py") for kind in KIND.findall(path.read_text())
            ]
            return sorted(kind for kind in found if kind.startswith(incomplete))
    return []


def _known_runs(context: typer.Context) -> list[tuple[str, str]]:
    from fragility.errors import FragilityError
    from fragility.store import cli_queries, queries

    store = context.params.get("store") or os.environ.get("FRAGILITY_STORE") or "results"
    try:
        found = queries.query(Path(str(store)), cli_queries.RUN_IDS.sql)
    except FragilityError:
        return []
    return [(str(run_id), str(study)) for run_id, study, _ in found.rows]
