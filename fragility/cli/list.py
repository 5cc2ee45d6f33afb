"""`fragility list` and `fragility describe`: methods and references, in their own words."""

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
    from fragility.cli import references

    if room in references.ROOMS:
        _print_room(references.summaries(), "")
        return
    from fragility.study.describe import describe_room, room_names

    for name in [room] if room else room_names():
        if room is None:
            print(name)
        found = [(method.kind, method.summary) for method in describe_room(name)]
        _print_room(found, "" if room else "  ")
    if room is None:
        print("references")
        _print_room(references.summaries(), "  ")


def describe(
    room: Annotated[
        str, typer.Argument(metavar="KIND", help=KIND, autocompletion=completion.rooms)
    ],
    name: Annotated[str, typer.Argument(metavar="NAME", autocompletion=completion.kinds)],
) -> None:
    """Show one method: what it does, when it is valid, its cost, its fields and defaults."""
    from fragility.cli import references

    if room in references.ROOMS:
        parts = references.blocks(name)
        print("\n\n".join(part if "\n" in part else _folded("", part) for part in parts))
        return
    from fragility.study.describe import describe as documentation

    print("\n\n".join(_blocks(documentation(room, name))))


def _print_room(found: list[tuple[str, str]], indent: str) -> None:
    width = max((len(name) for name, _ in found), default=0)
    for name, summary in found:
        print(_folded(f"{indent}{name:<{width}}  ", summary))


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
        *(["\n".join(["Fields:", *_fields(method.fields, 2)])] if method.fields else []),
    ]


def _fields(fields: tuple[FieldDoc, ...], indent: int) -> list[str]:
    lines = []
    for field in fields:
        default = "required" if field.default is None else f"default {field.default}"
        kind = "mapping" if field.fields and field.type.startswith("mapping") else field.type
        lines += [f"{' ' * indent}{field.name}: {kind}  ({default})"]
        if field.description:
            lines.append(_folded(" " * (indent + 4), field.description))
        lines += _fields(field.fields, indent + 4)
    return lines


def _folded(head: str, text: str) -> str:
    width = min(shutil.get_terminal_size((100, 24)).columns, 100)
    indent = " " * (len(head) if len(head) < 30 else 4)
    return textwrap.fill(text, width, initial_indent=head, subsequent_indent=indent) or head
