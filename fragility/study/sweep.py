"""Swept values: which combinations a study asks for."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product
from math import prod

from fragility.errors import Problem
from fragility.method import JSON
from fragility.study.messages import got, listed, quoted
from fragility.study.nodes import Entry, Node
from fragility.study.problems import nothing_at, problem_at
from fragility.study.shapes import Shape

CROSSED = ("datasets", "models", "regularization", "training")
SECTIONS = (*CROSSED, "estimators", "procedures")


@dataclass(frozen=True)
class Swept:
    """One value of one swept path; `text` is its canonical form, by which values are equal."""

    path: str
    node: Node = field(compare=False)
    value: JSON = field(compare=False)
    text: str

    @classmethod
    def of(cls, path: str, node: Node) -> Swept:
        """Returns the value that a node gives to a path."""
        value = node.plain()
        return cls(path, node, value, json.dumps(value, sort_keys=True))

    @property
    def key(self) -> str:
        """The last step of the path."""
        return self.path.split(".")[-1]


Row = tuple[Swept, ...]
"""Values that belong together: one of each path of a mapping whose lists vary together."""


@dataclass(frozen=True)
class Sweep:
    """Axes to cross; an axis is a list of rows."""

    axes: tuple[tuple[Row, ...], ...] = ()

    @property
    def values(self) -> Iterator[Swept]:
        """Every value of every path."""
        return (swept for axis in self.axes for row in axis for swept in row)

    def restricted(self, applies: Callable[[str], bool]) -> Sweep:
        """Returns the sweep of the paths that apply; rows that have become equal are one."""
        axes = []
        for axis in self.axes:
            rows = dict.fromkeys(tuple(s for s in row if applies(s.path)) for row in axis)
            if any(rows):
                axes.append(tuple(rows))
        return Sweep(tuple(axes))

    def rows(self) -> Iterator[Row]:
        """Returns every combination, the last axis fastest; one empty one when nothing is swept."""
        return (sum(rows, ()) for rows in product(*self.axes))

    def __len__(self) -> int:
        return prod(len(axis) for axis in self.axes)


def substituted(root: Node, row: Row) -> Node:
    """Returns the study with one combination of swept values in place."""
    for swept in row:
        root = root.with_value(swept.path.split("."), swept.node)
    return root


def belongs(path: str, section: str, label: str) -> bool:
    """Returns whether a swept path lies in one entry of a section."""
    return path.split(".")[:2] == [section, label]


def read_sweep(root: Node, shape: Shape) -> tuple[Sweep, list[Problem]]:
    """Returns what the study sweeps, and what is wrong with it."""
    node = root.child("sweep")
    if node is None:
        return Sweep(), []
    problems: list[Problem] = []
    if isinstance(node.value, tuple):
        mappings = node.value
        groups = [list(mapping.entries.items()) for mapping in mappings]
    else:
        mappings = (node,)
        groups = [[item] for item in node.entries.items()]
    problems += [
        problem_at(mapping.place, ("sweep",), f"expected paths with lists, got {got(mapping)}.")
        for mapping in mappings
        if not isinstance(mapping.value, dict)
    ]
    for path, entry in (item for group in groups for item in group):
        text = _path_problem(root, shape, path)
        if text:
            problems.append(problem_at(entry.key, ("sweep",), text))
        problems += _list_problems(path, entry)
    problems += [problem for group in groups for problem in _uneven(group)]
    problems += _overlapping([item for group in groups for item in group])
    return (Sweep(), problems) if problems else (Sweep(tuple(_axis(g) for g in groups if g)), [])


def _axis(group: Sequence[tuple[str, Entry]]) -> tuple[Row, ...]:
    columns = [[Swept.of(path, item) for item in entry.node.items] for path, entry in group]
    return tuple(zip(*columns, strict=True))


def _path_problem(root: Node, shape: Shape, path: str) -> str | None:
    steps = path.split(".")
    nowhere = nothing_at(root, shape, path)
    if nowhere is None and (steps[0] not in SECTIONS or len(steps) < 2):
        return f"{quoted(path)} cannot be swept, only what stands in {listed(SECTIONS)}."
    return nowhere


def _list_problems(path: str, entry: Entry) -> list[Problem]:
    where = ("sweep", path)
    if not isinstance(entry.node.value, tuple):
        text = f"expected a list of values, got {got(entry.node)}."
        return [problem_at(entry.node.place, where, text)]
    if not entry.node.items:
        return [problem_at(entry.node.place, where, "the list of values is empty.")]
    return []


def _uneven(group: Sequence[tuple[str, Entry]]) -> Iterator[Problem]:
    for path, entry in group[1:]:
        first, length = group[0][0], len(group[0][1].node.items)
        if len(entry.node.items) != length:
            yield problem_at(
                entry.key,
                ("sweep", path),
                f"{len(entry.node.items)} values, but {quoted(first)} has {length}: "
                "the lists of one mapping vary together.",
            )


def _overlapping(items: Sequence[tuple[str, Entry]]) -> Iterator[Problem]:
    count = Counter(path for path, _ in items)
    seen: set[str] = set()
    for path, entry in items:
        steps = path.split(".")
        above = [".".join(steps[:end]) for end in range(1, len(steps))]
        if path in seen:
            yield problem_at(entry.key, ("sweep",), f"{quoted(path)} is swept twice.")
        for outer in above:
            if outer in count:
                text = f"{quoted(path)} lies in {quoted(outer)}, which is swept too."
                yield problem_at(entry.key, ("sweep",), text)
        seen.add(path)
