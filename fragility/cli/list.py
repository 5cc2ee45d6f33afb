"""`fragility list` and `fragility describe`: the methods there are, in their own words."""

from __future__ import annotations

import shutil
import textwrap
from typing import TYPE_CHECKING, Annotated

import typer

from fragility.cli import completion

if TYPE_CHECKING:
    from fragility.study.describe import FieldDoc, MethodDoc

KIND = "datasets, models, estimators ..."


def list_(
    room: Annotated[
        str | None,
        typer.Argument(
            metavar="[KIND]",
            help=f"{KIND}; everything when omitted.",
            autocompletion=completion.rooms,
        ),
    ] = None,
) -> None:
    """List the datasets, models, estimators ... with one sentence each."""
    from fragility.study.describe import describe_room, room_names

    for name in [room] if room else room_names():
        methods = describe_room(name)
        if room is None:
            print(name)
        indent = "" if room else "  "
        width = max((len(method.kind) for method in methods), default=0)
        for method in methods:
            print(_folded(f"{indent}{method.kind:<{width}}  ", method.summary))


def describe(
    room: Annotated[
        str, typer.Argument(metavar="KIND", help=KIND, autocompletion=completion.rooms)
    ],
    name: Annotated[str, typer.Argument(metavar="NAME", autocompletion=completion.kinds)],
) -> None:
    """Show one method: what it does, when it is valid, its cost, its fields and defaults."""
    from fragility.study.describe import describe as documentation

    print("\n\n".join(_blocks(documentation(room, name))))


def _blocks(method: MethodDoc) -> list[str]:
    facts = (
        ("Valid when: ", method.valid_when),
        ("Cost: ", method.cost),
        ("Reference: ", method.reference),
    )
    return [
        f"{method.kind} ({method.room})",
        _folded("", method.summary),
        *(_folded("", part) for part in method.prose.split("\n\n") if part),
        *(_folded(head, fact) for head, fact in facts if fact),
        *([_fields(method.fields)] if method.fields else []),
    ]


def _fields(fields: tuple[FieldDoc, ...]) -> str:
    lines = ["Fields:"]
    for field in fields:
        default = "required" if field.default is None else f"default {field.default}"
        lines += [f"  {field.name}: {field.type}  ({default})"]
        if field.description:
            lines.append(_folded(" " * 6, field.description))
    return "\n".join(lines)


def _folded(head: str, text: str) -> str:
    width = min(shutil.get_terminal_size((100, 24)).columns, 100)
    indent = " " * (len(head) if len(head) < 30 else 4)
    return textwrap.fill(text, width, initial_indent=head, subsequent_indent=indent) or head
