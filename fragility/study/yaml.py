"""YAML 1.2 text to nodes; whatever is wrong with the text is a located problem.

Read from the parser's events, not from its composed tree: composing recurses, so that a few
kilobytes of brackets exhaust the stack, and it expands nothing but also refuses nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    CollectionStartEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
    SequenceEndEvent,
)

from fragility.errors import Problem
from fragility.study.nodes import Entry, Node, Place, Scalar
from fragility.study.scalars import resolved

MAX_BYTES = 2**20
MAX_DEPTH = 40
MAX_NODES = 50_000

_CONTROL = re.compile(r"[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_LONE_SURROGATE = re.compile(r"[\ud800-\udfff]")


class YamlError(Exception):
    """The text is not YAML that a study may be written in; `problem` says where and why."""

    def __init__(self, place: Place, message: str) -> None:
        super().__init__(message)
        self.problem = Problem(place.line, place.column, "", message, place.width)


def decode(data: bytes) -> str:
    """Returns the text of a file.

    Raises:
        YamlError: the file is too large, is not UTF-8, or is not text.
    """
    if len(data) > MAX_BYTES:
        raise YamlError(Place(), f"larger than {MAX_BYTES // 2**20} MiB; this is not a study.")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8-sig", errors="replace")
        byte = data[error.start]
        raise YamlError(
            _end_of(before), f"not UTF-8 text (byte 0x{byte:02x}). Save the file as UTF-8."
        ) from None
    control = _CONTROL.search(text)
    if control:
        raise YamlError(
            _end_of(text[: control.start()]),
            f"the character U+{ord(control.group()):04X} cannot stand in a YAML file.",
        )
    return text


def parse(text: str, override: str = "") -> Node:
    """Returns the one document of `text` as nodes.

    With `override` every place in it is that `--set` instead of a line. Takes about 25 us a value.

    Raises:
        YamlError: the text is not YAML 1.2, or has a duplicate key, a tag, a second document, an
            anchor that is unknown or holds itself, or is too deep or too large when expanded.
    """
    builder = _Builder(override)
    for event in _events(text, builder):
        builder.take(event)
    if builder.root is None:
        raise YamlError(Place(), "the file is empty.")
    return builder.root


def _events(text: str, builder: _Builder) -> Iterator[Any]:
    try:
        yield from YAML(typ="safe", pure=True).parse(text)
    except MarkedYAMLError as error:
        raise _explained(error) from None
    except (YAMLError, ValueError, OverflowError) as error:
        # The scanner passes on Python's own errors, of `chr` for instance.
        said = " ".join(str(error).split())
        raise YamlError(builder.last, f"not readable as YAML: {said}.") from None


def _explained(error: MarkedYAMLError) -> YamlError:
    where = _at(error.problem_mark or error.context_mark)
    said = " ".join(str(error.problem or error.context or "").split())
    bracket = re.fullmatch(r"expected ',' or '([]}])', but got .*", said)
    if bracket and error.context_mark:
        opened = "[" if bracket.group(1) == "]" else "{"
        return YamlError(
            _at(error.context_mark),
            f"this `{opened}` is not closed: expected `,` or `{bracket.group(1)}` "
            f"at line {where.line}, column {where.column}.",
        )
    if r"'\t'" in said:
        return YamlError(where, "a tab where YAML allows only spaces. Indent with spaces.")
    if said.startswith("mapping values are not allowed"):
        return YamlError(
            where, "a `:` cannot stand here. Check the indentation; put text with `: ` in quotes."
        )
    if said.startswith("expected <block end>"):
        return YamlError(where, "this does not fit what stands above it. Check the indentation.")
    if said == "found unexpected end of stream" and error.context_mark:
        return YamlError(_at(error.context_mark), "this quote is not closed.")
    unquoted = re.fullmatch("found character '(.)' that cannot start any token", said)
    if unquoted:
        return YamlError(where, f"`{unquoted.group(1)}` cannot begin a value. Put it in quotes.")
    said = said.replace("'\\x00'", "the end of the text").replace("<stream end>", "the end")
    context = f"{error.context}, " if error.context and error.problem else ""
    return YamlError(where, f"not readable as YAML: {context}{said}.")


@dataclass
class _Open:
    """A list or mapping whose end has not come yet."""

    start: Any
    items: list[Node] = field(default_factory=list)
    entries: dict[str, Entry] = field(default_factory=dict)
    merges: list[Node] = field(default_factory=list)
    key: tuple[str, Place] | None = None
    merging: bool = False


class _Builder:
    """Builds nodes from events with a stack of its own."""

    def __init__(self, override: str) -> None:
        self.override = override
        self.root: Node | None = None
        self.last = Place(1, 1)
        self._stack: list[_Open] = []
        self._anchors: dict[str, Node] = {}
        self._nodes = 0
        self._documents = 0

    def take(self, event: Any) -> None:
        """Adds one event."""
        self.last = self._place(event)
        if isinstance(event, DocumentStartEvent):
            self._documents += 1
            if self._documents > 1:
                raise YamlError(self.last, "a second document begins; a study is one document.")
        elif isinstance(event, NodeEvent):
            self._refuse_tag(event)
            if isinstance(event, AliasEvent):
                self._add(self._resolved(event), event)
            elif isinstance(event, ScalarEvent):
                self._count(1)
                self._scalar(event)
            elif isinstance(event, CollectionStartEvent):
                self._count(1)
                if len(self._stack) >= MAX_DEPTH:
                    raise YamlError(self.last, f"nested more than {MAX_DEPTH} levels deep.")
                self._stack.append(_Open(event))
        elif isinstance(event, MappingEndEvent | SequenceEndEvent):
            self._close(event)

    def _place(self, event: Any) -> Place:
        if self.override:
            return Place(override=self.override)
        return _at(event.start_mark, event.end_mark)

    def _refuse_tag(self, event: Any) -> None:
        tag = getattr(event, "tag", None)
        if tag is not None:
            shown = str(tag).replace("tag:yaml.org,2002:", "!!")
            raise YamlError(
                self.last,
                f"the tag `{shown}` is refused: a study is plain data. "
                "Quotes make text; everything else is read by its look.",
            )

    def _count(self, nodes: int) -> None:
        self._nodes += nodes
        if self._nodes > MAX_NODES:
            raise YamlError(self.last, f"more than {MAX_NODES} values, aliases written out.")

    def _resolved(self, event: Any) -> Node:
        name = event.anchor
        if name in self._anchors:
            self._count(self._anchors[name].size)
            return self._anchors[name]
        if any(opened.start.anchor == name for opened in self._stack):
            raise YamlError(
                self.last, f"`*{name}` stands inside `&{name}`, which would be endless."
            )
        raise YamlError(self.last, f"`*{name}` refers to no `&{name}` above it.")

    def _scalar(self, event: Any) -> None:
        if _LONE_SURROGATE.search(event.value):
            raise YamlError(self.last, "half a surrogate pair is not a character.")
        parent = self._stack[-1] if self._stack else None
        if parent and isinstance(parent.start, MappingStartEvent) and parent.key is None:
            self._begin_key(parent, event)
            if event.anchor:
                self._anchors[event.anchor] = Node(self.last, event.value)
            return
        place = self.last
        if place.width == 0 and parent and parent.key:
            place = parent.key[1]
        value = event.value if event.style else self._plain(event.value)
        self._add(Node(place, value), event)

    def _begin_key(self, parent: _Open, event: Any) -> None:
        name = event.value
        parent.merging = name == "<<" and event.style is None
        if not parent.merging and name in parent.entries:
            first = parent.entries[name].key
            at = f" (line {first.line}, column {first.column})" if first.line else ""
            raise YamlError(self.last, f"the key `{name}` is there twice: first{at}, then here.")
        parent.key = (name, self.last)

    def _plain(self, text: str) -> Scalar:
        try:
            return resolved(text)
        except ValueError as error:
            raise YamlError(self.last, str(error)) from None

    def _add(self, node: Node, event: Any) -> None:
        anchor = None if isinstance(event, AliasEvent) else event.anchor
        if anchor:
            self._anchors[anchor] = node
        if not self._stack:
            self.root = node
            return
        parent = self._stack[-1]
        if not isinstance(parent.start, MappingStartEvent):
            parent.items.append(node)
        elif parent.key is None:
            raise YamlError(node.place, "a key must be a word, not a list, a mapping or an alias.")
        elif parent.merging:
            parent.merges += self._merged(node)
            parent.key = None
        else:
            parent.entries[parent.key[0]] = Entry(parent.key[1], node)
            parent.key = None

    def _merged(self, node: Node) -> list[Node]:
        sources = list(node.items) if isinstance(node.value, tuple) else [node]
        if not all(isinstance(source.value, dict) for source in sources):
            raise YamlError(self.last, "`<<` takes a mapping, or a list of mappings.")
        return sources

    def _close(self, event: Any) -> None:
        opened = self._stack.pop()
        place = self._place(opened.start)
        if not self.override:
            place = _at(opened.start.start_mark, event.end_mark)
        if isinstance(event, SequenceEndEvent):
            self._add(Node(place, tuple(opened.items)), opened.start)
            return
        # Keys of the mapping itself win over merged ones, earlier sources over later ones.
        for source in opened.merges:
            for key, entry in source.entries.items():
                opened.entries.setdefault(key, entry)
        self._add(Node(place, opened.entries), opened.start)


def _at(start: Any, end: Any = None) -> Place:
    if start is None:
        return Place(1, 1)
    width = end.column - start.column if end is not None and end.line == start.line else 1
    return Place(start.line + 1, start.column + 1, width)


def _end_of(text: str) -> Place:
    lines = text.splitlines() or [""]
    if text.endswith(("\n", "\r")):
        lines.append("")
    return Place(len(lines), len(lines[-1]) + 1)
