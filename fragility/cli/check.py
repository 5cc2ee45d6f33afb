"""`fragility check`: every problem of a study at once, before anything runs."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from fragility.cli import completion, text
from fragility.cli.options import RepeatsOption, SetOption, overrides


def check(
    studies: Annotated[
        list[str],
        typer.Argument(
            metavar="STUDY...",
            help="Study files, or names of shipped studies.",
            autocompletion=completion.studies,
        ),
    ],
    set_: SetOption = None,
    repeats: RepeatsOption = None,
) -> None:
    """List every problem of a study, each with its line; `run` checks the same way first."""
    from fragility.cli.errors import render
    from fragility.errors import FragilityError
    from fragility.study.cells import cells
    from fragility.study.load import load_study

    code = 0
    for name in studies:
        try:
            loaded = load_study(name, overrides(set_, repeats))
            count = len(cells(loaded))
        except FragilityError as error:
            message, failed = render(error)
            print(message, file=sys.stderr)
            code = max(code, failed)
        else:
            print(f"{loaded.label}: no problems, {text.plural(count, 'cell')}")
    raise typer.Exit(code)
