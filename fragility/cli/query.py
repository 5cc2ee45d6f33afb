"""`fragility query`: read-only SQL on the store."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from fragility.cli.options import STORE, RunOption, StoreOption


class Format(StrEnum):
    """How a result is written."""

    table = "table"
    csv = "csv"
    json = "json"


def query(
    sql: Annotated[
        str | None, typer.Argument(metavar="SQL", help="One SELECT on the tables of `--schema`.")
    ] = None,
    format_: Annotated[
        Format | None, typer.Option("--format", help="A table, unless FILE says otherwise.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", help="Write a .csv, .json or .parquet file."),
    ] = None,
    run: RunOption = None,
    schema: Annotated[
        bool, typer.Option("--schema", help="List the tables and what their columns mean.")
    ] = False,
    store: StoreOption = STORE,
) -> None:
    """Ask the store in SQL; tables show the newest run of each study, or that of `--run`.

    Try `fragility query "SELECT * FROM agreements WHERE metric = 'pearson'"`.
    """
    from fragility.cli import results
    from fragility.cli.subject import find_run
    from fragility.errors import UsageError
    from fragility.store import queries

    if schema:
        print(results.glossary())
        return
    if sql is None:
        raise UsageError("No SQL was given.", "What can be asked: fragility query --schema")
    run_id = None if run is None else find_run(store, run)[0]
    if out is not None and format_ is None:
        queries.export(store, sql, out, run_id)
        return
    result = queries.query(store, sql, run_id)
    form = (format_ or Format.table).value
    if out is None:
        results.write(result, form, sys.stdout)
    else:
        with out.open("w", encoding="utf-8", newline="") as file:
            results.write(result, form, file)
