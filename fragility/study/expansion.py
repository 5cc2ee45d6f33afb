"""Every part of a study under every combination of the values swept in it, validated once."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from fragility.errors import Problem
from fragility.method import Method
from fragility.study.checks import unknown_estimators
from fragility.study.model import Study
from fragility.study.nodes import Node, Place
from fragility.study.problems import problem_at, problems_of
from fragility.study.shapes import Shape
from fragility.study.sweep import CROSSED, SECTIONS, Row, Sweep, belongs, substituted

MAX_CELLS = 100_000
STUDY = Shape(Study)

_MOST_PROBLEMS = 20

PartKey = tuple[str, str, Row]
Labels = tuple[str, ...]


@dataclass(frozen=True)
class Expansion:
    """A study's sweep, and its methods by section, label and the swept values in them."""

    sweep: Sweep
    parts: Mapping[PartKey, Method]

    def part(self, section: str, label: str, row: Row) -> Method:
        """Returns a method under one combination of swept values."""
        applying = tuple(swept for swept in row if belongs(swept.path, section, label))
        return self.parts[section, label, applying]


def crossings(sweep: Sweep, sections: Mapping[str, list[str]]) -> Iterator[tuple[Labels, Sweep]]:
    """Yields dataset, model, regularization and training label, with the sweep that applies.

    A value swept in one of the four applies only where its label takes part; values swept in
    estimators and procedures apply everywhere.
    """
    for labels in product(*(sections[section] for section in CROSSED)):
        here = dict(zip(CROSSED, labels, strict=True))

        def applies(path: str, here: dict[str, str] = here) -> bool:
            section, label = path.split(".")[:2]
            return here.get(section, label) == label

        yield labels, sweep.restricted(applies)


def too_many_cells(root: Node, sweep: Sweep) -> Problem | None:
    """Returns the problem of a study with more than `MAX_CELLS` cells."""
    sections = {name: _labels(root, name) or ["none"] for name in CROSSED}
    repeats = root.child("repeats")
    times = repeats.value if repeats and isinstance(repeats.value, int) else 1
    total = 0
    for _, applying in crossings(sweep, sections):
        total += max(times, 1) * len(applying)
        if total > MAX_CELLS:
            text = f"the study has more than {MAX_CELLS:,} cells (settings x repeats)."
            section = "sweep" if sweep.axes and times < MAX_CELLS else "repeats"
            node = root.child(section)
            return problem_at(node.place if node else Place(), (section,), text)
    return None


def validated(root: Node, study_dir: Path) -> tuple[Study | None, list[Problem]]:
    """Returns a tree as a Study, or None and what is wrong with it."""
    try:
        context = {"study_dir": study_dir}
        text = json.dumps(root.plain())
        return Study.model_validate_json(text, strict=True, context=context), []
    except ValidationError as error:
        return None, problems_of(error, root, STUDY)


def expanded(
    root: Node, sweep: Sweep, study: Study | None, study_dir: Path, known: Sequence[Problem]
) -> tuple[dict[PartKey, Method], list[Problem]]:
    """Returns every part under every combination, and what is wrong with the combinations.

    Problems that are `known`, from the first combination, are not told again.
    """
    parts: dict[PartKey, Method] = {}
    problems: list[Problem] = []
    for section in SECTIONS:
        written: Mapping[str, Method] = getattr(study, section) if study else {}
        for label in _labels(root, section) or list(written):

            def applies(path: str, section: str = section, label: str = label) -> bool:
                return belongs(path, section, label)

            own = sweep.restricted(applies)
            if own.axes:
                found = _combinations(root, section, label, own, study_dir, parts)
                problems += _first_of_each(found, known)
            elif label in written:
                parts[section, label, ()] = written[label]
    for swept in sweep.values:
        if swept.path.startswith("procedures."):
            problems += unknown_estimators(substituted(root, (swept,)), STUDY)
    return parts, problems


def _combinations(
    root: Node,
    section: str,
    label: str,
    sweep: Sweep,
    study_dir: Path,
    parts: dict[PartKey, Method],
) -> Iterator[tuple[Row, Problem]]:
    adapter = _adapter(section)
    for row in sweep.rows():
        tree = substituted(root, row)
        node = tree.get((section, label))
        text = json.dumps({label: node.plain() if node else None})
        try:
            found = adapter.validate_json(text, strict=True, context={"study_dir": study_dir})
            parts[section, label, row] = found[label]
        except ValidationError as error:
            for problem in problems_of(error, tree, STUDY, (section,)):
                yield row, problem


def _first_of_each(found: Iterator[tuple[Row, Problem]], known: Sequence[Problem]) -> list[Problem]:
    """Returns each problem once; that of a part as a whole names the combination that has it."""
    new: dict[Problem, Problem] = {}
    for row, problem in found:
        if problem in new or problem in known:
            continue
        whole = problem.path.count(".") == 1
        swept = f" Swept here: {', '.join(f'{s.key}={s.text}' for s in row)}." if whole else ""
        new[problem] = replace(problem, message=problem.message + swept)
        if len(new) >= _MOST_PROBLEMS:
            break
    return list(new.values())


def _labels(root: Node, section: str) -> list[str]:
    node = root.child(section)
    return list(node.entries) if node else []


@cache
def _adapter(section: str) -> TypeAdapter[Any]:
    annotation: Any = Study.model_fields[section].annotation
    return TypeAdapter(annotation)
