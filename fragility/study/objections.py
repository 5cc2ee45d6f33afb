"""What procedures and regularizers object to in a training that they meet."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fragility.errors import Problem
from fragility.regularizers import Regularization
from fragility.study.expansion import Expansion, crossings
from fragility.study.messages import quoted
from fragility.study.model import Study
from fragility.study.nodes import Node
from fragility.study.problems import place_of, problem_at
from fragility.study.sweep import CROSSED


def objections(root: Node, study: Study, expansion: Expansion) -> Iterator[Problem]:
    """Yields the procedures that make no sense with a training they meet in some cell, each once.

    Only combinations that a cell has are looked at: values swept together stay together.
    """
    sections = {section: list(getattr(study, section)) for section in CROSSED}
    seen: set[tuple[int, int]] = set()
    told: set[str] = set()
    for labels, applying in crossings(expansion.sweep, sections):
        for row in applying.rows():
            training: Any = expansion.part("training", labels[-1], row)
            for label in study.procedures:
                procedure: Any = expansion.part("procedures", label, row)
                if (id(training), id(procedure)) in seen:
                    continue
                seen.add((id(training), id(procedure)))
                text = procedure.objection(training)
                if text is not None and label not in told:
                    told.add(label)
                    path = ("procedures", label)
                    told_of = f"With training {quoted(labels[-1])}, {text}"
                    yield problem_at(place_of(root, path, text), path, told_of)


def misplaced(root: Node, study: Study, expansion: Expansion) -> Iterator[Problem]:
    """Yields the regularizers that a training cannot have, of base models or retrained ones."""
    sections = {section: list(getattr(study, section)) for section in CROSSED}
    told: set[str] = set()
    for (_, _, label, training_label), applying in crossings(expansion.sweep, sections):
        for row in applying.rows():
            written: Any = expansion.part("regularization", label, row)
            training: Any = expansion.part("training", training_label, row)
            regularization = Regularization.of(written)
            procedures: list[Any] = [expansion.part("procedures", n, row) for n in study.procedures]
            found = [regularization.objection(training)]
            found += [
                regularization.objection(procedure.retraining(training), of_retraining=True)
                for procedure in procedures
            ]
            text = next((one for one in found if one is not None), None)
            if text is not None and label not in told:
                told.add(label)
                path = ("regularization", label)
                told_of = f"With training {quoted(training_label)}: {text}"
                yield problem_at(place_of(root, path, text), path, told_of)


def without_effect(root: Node, study: Study, expansion: Expansion) -> Iterator[Problem]:
    """Yields the keys of procedures that say nothing in any cell that the procedure meets."""
    sections = {section: list(getattr(study, section)) for section in CROSSED}
    idle: dict[str, frozenset[str]] = {}
    for (_, _, label, training_label), applying in crossings(expansion.sweep, sections):
        for row in applying.rows():
            written: Any = expansion.part("regularization", label, row)
            training: Any = expansion.part("training", training_label, row)
            for name in study.procedures:
                procedure: Any = expansion.part("procedures", name, row)
                restraints = Regularization.of(written).restraints(procedure.retraining(training))
                here = procedure.idle(restraints)
                idle[name] = idle.get(name, here) & here
    for name, keys in idle.items():
        for key in sorted(keys):
            text = f"`{key}` says nothing without the regularizer `{_NEEDED[key]}`; drop the key."
            place = place_of(root, ("procedures", name), text)
            yield problem_at(place, ("procedures", name, key), text)


_NEEDED = {"patience": "early_stopping", "from_iterate": "swa"}
"""The regularizers that keys of procedures are about."""
