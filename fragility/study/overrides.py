"""Values from the command line: `--set PATH=VALUE`."""

from __future__ import annotations

from collections.abc import Sequence

from fragility.errors import Problem, did_you_mean
from fragility.study.messages import listed, quoted
from fragility.study.nodes import Node, Place
from fragility.study.problems import nothing_at, problem_at
from fragility.study.shapes import Shape
from fragility.study.yaml import YamlError, parse


def with_overrides(
    root: Node, shape: Shape, overrides: Sequence[str]
) -> tuple[Node, list[Problem]]:
    """Returns the study with the overrides in place, in order, and what is wrong with them.

    The values are YAML, so that `1e-3` is a number and `[1, 2]` a list. `sweep.PATH=[..]` replaces
    the values of a swept path.
    """
    problems = []
    for override in overrides:
        try:
            root = _applied(root, shape, override)
        except YamlError as error:
            place = Place(override=override)
            target = override.partition("=")[0].strip()
            problems.append(problem_at(place, target.split("."), error.problem.message))
    return root, problems


def _applied(root: Node, shape: Shape, override: str) -> Node:
    place = Place(override=override)
    target, equals, value = override.partition("=")
    path = target.strip()
    if not equals:
        raise YamlError(place, "there is no `=`. Write `--set PATH=VALUE`.")
    node = parse(value, override) if value.split("#")[0].strip() else Node(place, None)
    if path.startswith("sweep."):
        return _resweep(root, path.removeprefix("sweep."), node)
    swept = _sweeps(root)
    if path in swept:
        raise YamlError(place, f"{quoted(path)} is swept. Set {quoted('sweep.' + path)} to a list.")
    nowhere = nothing_at(root, shape, path)
    if nowhere:
        raise YamlError(place, nowhere)
    return root.with_value(path.split("."), node)


def _sweeps(root: Node) -> dict[str, tuple[str, ...]]:
    """Returns where in the study each swept path stands."""
    node = root.child("sweep")
    if node is None:
        return {}
    found: dict[str, tuple[str, ...]] = {path: ("sweep", path) for path in node.entries}
    for position, mapping in enumerate(node.items):
        found |= {path: ("sweep", str(position), path) for path in mapping.entries}
    return found


def _resweep(root: Node, path: str, values: Node) -> Node:
    swept = _sweeps(root)
    if path not in swept:
        near = did_you_mean(path, list(swept))
        here = f" Swept here: {listed(list(swept))}." if swept else ""
        raise YamlError(values.place, f"{quoted(path)} is not swept.{near}{here}")
    return root.with_value(swept[path], values)
