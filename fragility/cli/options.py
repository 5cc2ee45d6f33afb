"""Arguments and options that several commands share."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated

import typer

from fragility.cli import completion
from fragility.errors import UsageError

STORE = Path("results")
DATA = "FRAGILITY_DATA"


def _named(folder: Path | None) -> Path | None:
    """Leaves the folder where datasets look for it: in the environment, as users may themselves."""
    if folder is not None:
        os.environ[DATA] = str(folder.expanduser().absolute())
    return folder


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
DataOption = Annotated[
    Path | None,
    typer.Option(
        "--data",
        envvar=DATA,
        metavar="DIR",
        callback=_named,
        help="Where image datasets are looked for, before `data`.",
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
MemoryOption = Annotated[
    str | None,
    typer.Option(
        "--memory",
        metavar="SIZE",
        help="Most memory of one stack of models, as `2GB`; 1 GiB, or a quarter of a card's.",
    ),
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


def memory_size(written: str | None) -> int | None:
    """Returns the bytes that a size such as `500MB` or `2GiB` means; None stays None.

    Raises:
        UsageError: it is no size.
    """
    if written is None:
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]i?)?B?", written.strip(), re.IGNORECASE)
    if match is None or float(match[1]) <= 0:
        raise UsageError(f"`--memory {written}` is not a size.", "Write for example `2GB`.")
    unit = (match[2] or "").lower()
    base = 1024 if unit.endswith("i") else 1000
    return int(float(match[1]) * base ** " kmgt".index(unit[:1] or " "))


def overrides(set_: list[str] | None, repeats: int | None) -> tuple[str, ...]:
    """Returns all overrides of a command line as `path=value` texts, in order."""
    return (*(set_ or ()), *(() if repeats is None else (f"repeats={repeats}",)))
