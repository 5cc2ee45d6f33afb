"""The rows of a query as text: a table, CSV or JSON."""

from __future__ import annotations

import csv
import json
import math
from typing import TextIO

from fragility.cli import text
from fragility.store.queries import PUBLIC, Result


def write(result: Result, form: str, file: TextIO) -> None:
    """Writes a result; null is `null` in a table and in JSON, and nothing in CSV."""
    if form == "json":
        records = [dict(zip(result.columns, map(_plain, row), strict=True)) for row in result.rows]
        file.write(json.dumps(records, indent=1, default=str, allow_nan=False) + "\n")
    elif form == "csv":
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(result.columns)
        writer.writerows(result.rows)
    else:
        file.write(text.table(result.columns, result.rows) + "\n")


def _plain(value: object) -> object:
    """Returns a value that JSON has: what is not finite becomes null."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def glossary() -> str:
    """Returns every table that can be asked, with one sentence a column."""
    blocks = []
    for view in PUBLIC:
        rows = [(column.name, column.type.lower(), column.doc) for column in view.columns]
        width = max(len(name) for name, _, _ in rows)
        lines = [f"  {name:<{width}}  {kind:<9}  {doc}" for name, kind, doc in rows]
        blocks.append("\n".join([f"{view.name}: {view.doc}", *lines]))
    return "\n\n".join(blocks)
