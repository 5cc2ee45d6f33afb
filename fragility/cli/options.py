"""Arguments and options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fragility.cli import completion

STORE = Path("results")

StudyArgument = Annotated[
    str,
    typer.Argument(
        metavar="STUDY",
        help="A study file, or the name of a shipped study.",
        autocompletion=completion.studies,
    ),
]
StoreOption = Annotated[
    Path,
    typer.Option(
        "--store", envvar="FRAGILITY_STORE", metavar="DIR", help="Where results are kept."
    ),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="PATH=VALUE",
        help="Override one value of the study, read as YAML. Repeatable.",
    ),
]
RepeatsOption = Annotated[
    int | None,
    typer.Option("--repeats", metavar="N", min=1, help="The same as `--set repeats=N`."),
]
RunOption = Annotated[
    str | None,
    typer.Option(
        "--run",
        metavar="RUN",
        help="See this run's plan instead of each study's newest.",
        autocompletion=completion.runs,
    ),
]


def overrides(set_: list[str] | None, repeats: int | None) -> tuple[str, ...]:
    """Returns all overrides of a command line as `path=value` texts, in order."""
    return (*(set_ or ()), *(() if repeats is None else (f"repeats={repeats}",)))
