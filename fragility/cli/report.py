"""`fragility report`: the HTML page of a run."""

from __future__ import annotations

import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from fragility.cli import completion
from fragility.cli.options import STORE, StoreOption


def report(
    subject: Annotated[
        str | None,
        typer.Argument(
            metavar="[STUDY|RUN]",
            help="A study (its newest run) or a run; the newest run of all when omitted.",
            autocompletion=completion.reports,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", help="By default DIR/reports/<study>.html."),
    ] = None,
    open_: Annotated[bool, typer.Option("--open", help="Show it in the browser.")] = False,
    store: StoreOption = STORE,
) -> None:
    """Write the report of a run: one self-contained HTML file; prints its path."""
    from fragility.cli.subject import find_run
    from fragility.report import render

    run_id, study = find_run(store, subject)
    page = render(store, run_id, out or store / "reports" / f"{study}.html")
    print(page)
    if open_:
        webbrowser.open(page.resolve().as_uri())
