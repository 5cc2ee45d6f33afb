"""The command `fragility`: its commands, and the one place where errors become exit codes."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Annotated

import typer

from fragility import __version__
from fragility.cli import (
    check,
    compare,
    doctor,
    errors,
    init,
    plan,
    query,
    report,
    run,
    runs,
    schema,
)
from fragility.cli import list as list_

app = typer.Typer(
    name="fragility",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 done, 1 some tasks failed, 2 usage or invalid study, "
    "3 the store is locked or damaged, 70 a bug in fragility, "
    "130 interrupted (the same command continues).",
)


@app.callback()
def _options(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error; works anywhere.")
    ] = False,
) -> None:
    """When influence scores disagree with retraining: is the estimate wrong, or the validation?"""


PANELS: dict[str, tuple[Callable[..., None], ...]] = {
    "Study": (run.run, plan.plan, check.check, init.init, schema.schema),
    "Results": (report.report, runs.runs, runs.show, compare.compare, query.query),
    "Methods": (list_.list_, list_.describe),
    "This machine": (doctor.doctor,),
}
for panel, commands in PANELS.items():
    for command in commands:
        app.command(command.__name__.rstrip("_"), rich_help_panel=panel)(command)


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs one command and exits with its code."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    debug = "--debug" in given
    words = [word for word in given if word != "--debug"]
    if words[:1] == ["--version"]:
        print(f"fragility {__version__}")
        sys.exit(0)
    try:
        app(words, prog_name="fragility")
    except Exception as error:
        if debug:
            traceback.print_exc()
        message, code = errors.render(error)
        print(message, file=sys.stderr)
        sys.exit(code)
    finally:
        _flush()


def _flush() -> None:
    """Empties stdout while it can still fail quietly: `fragility query ... | head` is no error."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
