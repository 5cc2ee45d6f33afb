"""The page: all sections in order, one template, one file written in one move."""

from __future__ import annotations

import base64
import hashlib
import os
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import duckdb
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from fragility.errors import UsageError
from fragility.report.context import Context
from fragility.report.palette import TOKENS
from fragility.report.parts import Section
from fragility.report.sections import (
    agreement,
    answer,
    controls,
    convergence,
    examples,
    factors,
    failures,
    head,
    interventions,
    ladder,
    published,
    rank,
    reproduce,
    scatter,
    specification,
    trajectories,
    truth,
    variation,
    verdict,
)
from fragility.report.source import Source
from fragility.resources import resource
from fragility.store import queries

SECTIONS: tuple[Callable[[Context], Section], ...] = (
    head.section,
    answer.section,
    controls.section,
    verdict.section,
    agreement.section,
    ladder.section,
    specification.section,
    variation.section,
    scatter.section,
    rank.section,
    factors.section,
    published.section,
    truth.section,
    interventions.section,
    trajectories.section,
    convergence.section,
    examples.section,
    failures.section,
    reproduce.section,
)


def render(root: Path, run_id: str, out: Path) -> Path:
    """Writes the report of a run as one self-contained HTML file and returns its path.

    The file appears whole or not at all. Raises `UsageError` when the store has no such run.
    """
    connection = queries.connect(root, run_id)
    try:
        html = page(connection, run_id)
    finally:
        connection.close()
    out.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=out.parent, prefix=f".{out.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(html)
        temporary.chmod(0o644)
        temporary.replace(out)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return out


def page(connection: duckdb.DuckDBPyConnection, run_id: str) -> str:
    """Returns the report as HTML; the same rows give the same bytes."""
    source = Source(connection, run_id)
    if not source.run:
        raise UsageError(f"There is no run `{run_id}` in this store.", "See `fragility runs`.")
    context = Context(source)
    sections = [build(context) for build in SECTIONS]
    folder = resource("templates") / "report"
    script = (folder / "page.js").read_text(encoding="utf-8")
    template = _environment(folder).get_template("page.html")
    return template.render(
        title=source.run["title"] or source.run["study"],
        sections=sections,
        # Both are files of this package, not data of a study: nothing in them is escaped.
        css=Markup((folder / "page.css").read_text(encoding="utf-8")),
        script=Markup(script),
        script_hash=_hash(script),
        tokens=TOKENS,
        run_id=run_id,
    )


@cache
def _environment(folder: Path) -> Environment:
    """The templates of a folder: compiled once, however many pages are made of them."""
    return Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _hash(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
