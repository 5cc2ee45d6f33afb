"""Validation errors as problems, each at the key or value of the file that is wrong."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from fragility.errors import Problem, did_you_mean
from fragility.method import Room
from fragility.study.messages import (
    expectation,
    got,
    listed,
    message,
    nearest,
    quoted,
    shortened,
    unknown,
)
from fragility.study.nodes import Node, Path, Place, flow
from fragility.study.shapes import Shape, shape_at


def problem_at(place: Place, path: Sequence[str | int], text: str) -> Problem:
    """Returns a problem at a place of the file, or at the `--set` that brought the value."""
    dotted = shortened(".".join(str(step) for step in path), 200)
    if not place.override:
        return Problem(place.line, place.column, dotted, text, place.width)
    option = f"--set {shortened(place.override, 200)}"
    target = place.override.partition("=")[0].strip()
    return Problem(0, 0, option if dotted == target else f"{option}: {dotted}", text)


def missing_kind(key: Place, path: Path, room: Room[Any]) -> Problem:
    """Returns the problem of a method that does not say which one it is."""
    known = listed(list(room.methods))
    return problem_at(key, (*path, "kind"), f"this key is missing. Known: {known}.")


def place_of(root: Node, path: Path, text: str) -> Place:
    """Returns the place of the key that a text about the method at `path` names, or of its own."""
    parent, node = root.get(path[:-1]), root.get(path)
    entry = parent.entries.get(str(path[-1])) if parent else None
    return (_named_key(node, text) if node else None) or (entry.key if entry else Place())


def _named_key(node: Node, text: str) -> Place | None:
    # What a class says of itself as a whole usually names the key it is about.
    words = re.findall(r"`(\w+)", text)
    named = [node.entries[word].key for word in words if word in node.entries]
    return named[0] if named else None


def problems_of(
    error: ValidationError, root: Node, shape: Shape, prefix: Path = ()
) -> list[Problem]:
    """Returns the problems behind a validation error of the value at `prefix` of `root`."""
    found = [_find(details, root, prefix) for details in error.errors(include_url=False)]
    return [one.problem(root, shape) for one in _joined(found)]


@dataclass(frozen=True)
class _Found:
    """A validation error and where in the file it is.

    `fork` is the path at which a union of types begins, when the error is of one of its members:
    pydantic then reports what each member would have wanted.
    """

    error: ErrorDetails
    path: Path
    node: Node
    key: Place
    on_key: bool = False
    missing: str = ""
    fork: Path | None = None
    others: tuple[ErrorDetails, ...] = ()

    def problem(self, root: Node, shape: Shape) -> Problem:
        """Returns the error in words."""
        kind = self.error["type"]
        if self.missing:
            path, place = (*self.path, self.missing), self.key if self.path else Place()
            return problem_at(place, path, "this key is missing.")
        if kind == "extra_forbidden":
            return problem_at(self.key, self.path, f"unknown key.{_other_keys(self, root, shape)}")
        room = shape_at(shape, root, self.path)
        if kind == "union_tag_not_found" and room and room.room:
            return missing_kind(self.key, self.path, room.room)
        if kind == "union_tag_invalid" and room and room.room:
            return _unknown_kind(self.node, self.path, room)
        if kind == "literal_error" and self.path[-1:] == ("kind",):
            parent = shape_at(shape, root, self.path[:-1])
            owner = root.get(self.path[:-1])
            if parent and parent.room and owner:
                return _unknown_kind(owner, self.path[:-1], parent)
        text = message(self.error, self.node)
        if self.others:
            wanted = [expectation(one) for one in (self.error, *self.others)]
            known = list(dict.fromkeys(want for want in wanted if want))
            if "a number" in known:
                known = [want for want in known if want != "a whole number"]
            if known:
                near = "".join(nearest(one, self.node) for one in (self.error, *self.others))
                text = f"expected {' or '.join(known)}, got {got(self.node)}.{near}"
        if room and room.room and str(self.node.value) in room.room.methods:
            text += f" Write {quoted(flow({'kind': self.node.plain()}))}."
        return problem_at(self._place(text), self.path, text)

    def _place(self, text: str) -> Place:
        if self.on_key:
            return self.key
        if self.error["type"] == "value_error" and self.node.entries:
            return _named_key(self.node, text) or self.key
        return self.node.place


def _find(error: ErrorDetails, root: Node, prefix: Path) -> _Found:
    node, key = root, root.place
    path: Path = ()
    on_key, missing, fork, tagged = False, "", None, False
    loc = (*prefix, *error["loc"])
    for index, step in enumerate(loc):
        child = node.child(step)
        kind = node.child("kind")
        if step == "[key]":
            on_key = True
        elif path and not tagged and step in (kind.value if kind else None, node.value):
            # The tag of a union, which pydantic puts into the location.
            tagged = True
        elif child is not None:
            entry = node.entries.get(str(step))
            node, path, key = child, (*path, step), entry.key if entry else child.place
            tagged = False
        elif error["type"] == "missing" and index == len(loc) - 1:
            missing = str(step)
        elif fork is None:
            fork = path
    return _Found(error, path, node, key, on_key, missing, fork)


def _joined(found: Iterable[_Found]) -> list[_Found]:
    """Returns the errors with those of one union made one."""
    alone: list[_Found] = []
    forks: dict[Path, list[_Found]] = {}
    for one in found:
        if one.fork is None:
            alone.append(one)
        else:
            forks.setdefault(one.fork, []).append(one)
    for fork, members in forks.items():
        # A member that got as far as into the value, or refused it as a whole, was meant.
        inside = [
            one
            for one in members
            if len(one.path) > len(fork) or one.missing or one.error["type"] == "value_error"
        ]
        first, *others = members
        errors = tuple(other.error for other in others)
        alone += inside or [
            _Found(first.error, first.path, first.node, first.key, first.on_key, others=errors)
        ]
    return alone


def _other_keys(found: _Found, root: Node, shape: Shape) -> str:
    parent = shape_at(shape, root, found.path[:-1])
    model = parent.model(root.get(found.path[:-1])) if parent else None
    known = list(model.model_fields) if model else []
    return did_you_mean(str(found.path[-1]), known) or (
        f" Known: {listed(known)}." if known else ""
    )


def _unknown_kind(node: Node, path: Path, shape: Shape) -> Problem:
    kind = node.child("kind")
    room = shape.room
    assert room is not None
    place, where = (kind.place, (*path, "kind")) if kind else (node.place, path)
    value = kind.value if kind else node.value
    if not isinstance(value, str):
        text = f"expected the name of one of the {room.name}, got {got(kind or node)}."
        return problem_at(place, where, f"{text} Known: {listed(list(room.methods))}.")
    return problem_at(place, where, unknown(room.name.removesuffix("s"), value, list(room.methods)))


def nothing_at(root: Node, shape: Shape, dotted: str) -> str | None:
    """Returns why a dotted path names nothing in the study, or None when it names something.

    A key need not be written to be named, but what holds it must be.
    """
    steps = dotted.split(".")
    at: Shape | None = shape
    node: Node | None = root
    for depth, step in enumerate(steps):
        model = at.model(node) if at else None
        inner = at.child(node, step) if at else None
        if depth == 1 and at and not model and node and node.child(step) is None:
            return _no_label(steps, list(node.entries))
        if depth == 1 and node is None:
            return _no_label(steps, [])
        if inner is None:
            if at and at.room and model is None:
                written = node and node.child("kind")
                here = quoted(".".join(steps[:depth]))
                return None if written else f"{quoted(dotted)}: {here} has no `kind` here."
            known = list(model.model_fields) if model else []
            kind = node.child("kind") if node else None
            owner = quoted(kind.value if kind else steps[depth - 1]) if depth else "a study"
            hint = did_you_mean(step, known) or (f" Known: {listed(known)}." if known else "")
            return f"{quoted(dotted)} names nothing: {owner} has no key {quoted(step)}.{hint}"
        at, node = inner, node.child(step) if node else None
    return None


def _no_label(steps: list[str], known: list[str]) -> str:
    section, label = steps[0], steps[1]
    thing = section.removesuffix("s")
    here = f" {section.capitalize()} here: {listed(known)}." if known else ""
    near = did_you_mean(label, known)
    return f"{quoted('.'.join(steps))} names no {thing} {quoted(label)}.{near}{here}"
