"""A study as written: plain values that remember where they stand."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple, TypeAlias

from fragility.method import JSON

Path: TypeAlias = tuple[str | int, ...]
Scalar: TypeAlias = bool | int | float | str | None


@dataclass(frozen=True, order=True)
class Place:
    """A stretch of one line; `line` and `column` count from 1, 0 when it is not in the file.

    `override` is the text `PATH=VALUE` of the `--set` that brought the value, if one did.
    """

    line: int = 0
    column: int = 0
    width: int = 1
    override: str = ""


class Entry(NamedTuple):
    """One key of a mapping: where the key stands, and what it holds."""

    key: Place
    node: Node


@dataclass(frozen=True, eq=False)
class Node:
    """A value and its place; mappings keep the order of their keys."""

    place: Place
    value: Scalar | tuple[Node, ...] | Mapping[str, Entry]

    @property
    def entries(self) -> Mapping[str, Entry]:
        """The keys of a mapping; none for anything else."""
        return self.value if isinstance(self.value, Mapping) else {}

    @property
    def items(self) -> tuple[Node, ...]:
        """The items of a list; none for anything else."""
        return self.value if isinstance(self.value, tuple) else ()

    @cached_property
    def size(self) -> int:
        """How many values this is when aliases are written out."""
        inner = self.items or [entry.node for entry in self.entries.values()]
        return 1 + sum(node.size for node in inner)

    def child(self, key: str | int) -> Node | None:
        """Returns what a mapping holds under `key`, or a list at that position, if it does."""
        if isinstance(self.value, tuple):
            position = _position(key)
            return self.value[position] if position in range(len(self.value)) else None
        entry = self.entries.get(str(key))
        return entry.node if entry else None

    def get(self, path: Sequence[str | int]) -> Node | None:
        """Returns the node at `path`, if there is one."""
        node: Node | None = self
        for key in path:
            node = node.child(key) if node else None
        return node

    def with_value(self, path: Sequence[str | int], new: Node) -> Node:
        """Returns a copy with `new` at `path`; mappings that are missing on the way are made."""
        if not path:
            return new
        key, rest = path[0], path[1:]
        inner = (self.child(key) or Node(new.place, {})).with_value(rest, new)
        position = _position(key)
        if isinstance(self.value, tuple) and position in range(len(self.value)):
            changed = (*self.value[:position], inner, *self.value[position + 1 :])
            return replace(self, value=changed)
        old = self.entries.get(str(key))
        entry = Entry(old.key if old else new.place, inner)
        return replace(self, value={**self.entries, str(key): entry})

    def without(self, key: str) -> Node:
        """Returns a copy of a mapping without `key`."""
        kept = {name: entry for name, entry in self.entries.items() if name != key}
        return replace(self, value=kept)

    def plain(self) -> JSON:
        """Returns the value without places."""
        if isinstance(self.value, Mapping):
            return {key: entry.node.plain() for key, entry in self.value.items()}
        if isinstance(self.value, tuple):
            return [item.plain() for item in self.value]
        return self.value


def _position(key: str | int) -> int:
    """Returns the position in a list that a step of a path means, -1 when it means none."""
    if isinstance(key, int):
        return key
    return int(key) if key.isdecimal() and key.isascii() and len(key) < 10 else -1


def flow(value: JSON) -> str:
    """Returns a value as it would stand in YAML on one line, text without quotes."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return f"[{', '.join(flow(item) for item in value)}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key}: {flow(item)}' for key, item in value.items())}}}"
    return json.dumps(value)
