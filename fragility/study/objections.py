"""What procedures and regularizers object to in a training that they meet."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fragility.errors import Problem
from fragility.procedures import Procedure
from fragility.regularizers import Regularization
from fragility.study.expansion import Expansion, crossings
from fragility.study.messages import quoted
from fragility.study.model import Study
from fragility.study.nodes import Node
from fragility.study.problems import place_of, problem_at
from fragility.study.sweep import CROSSED
from fragility.training import Training


@dataclass(frozen=True)
class _Meeting:
    """What comes together in some cell, with the labels of regularization and training."""

    regularization_label: str
    regularization: Regularization
    training_label: str
    training: Training
    procedures: Mapping[str, Procedure]


def _meetings(study: Study, expansion: Expansion) -> Iterator[_Meeting]:
    """Yields every combination that a cell has once: values swept together stay together."""
    sections = {section: list(getattr(study, section)) for section in CROSSED}
    seen: set[tuple[int, ...]] = set()
    for (_, _, label, training_label), applying in crossings(expansion.sweep, sections):
        for row in applying.rows():
            written: Any = expansion.part("regularization", label, row)
            training: Any = expansion.part("training", training_label, row)
            procedures: Any = {n: expansion.part("procedures", n, row) for n in study.procedures}
            key = tuple(map(id, (written, training, *procedures.values())))
            if key not in seen:
                seen.add(key)
                regularization = Regularization.of(written)
                yield _Meeting(label, regularization, training_label, training, procedures)


def objections(root: Node, study: Study, expansion: Expansion) -> Iterator[Problem]:
    """Yields the procedures that make no sense with a training they meet, each once."""
    told: set[str] = set()
    for met in _meetings(study, expansion):
        for label, procedure in met.procedures.items():
            text = procedure.objection(met.training)
            if text is not None and label not in told:
                told.add(label)
                path = ("procedures", label)
                told_of = f"With training {quoted(met.training_label)}, {text}"
                yield problem_at(place_of(root, path, text), path, told_of)


def misplaced(root: Node, study: Study, expansion: Expansion) -> Iterator[Problem]:
    """Yields the regularizers that a training cannot have, of base models or retrained ones."""
    told: set[str] = set()
    for met in _meetings(study, expansion):
        label = met.regularization_label
        found = [met.regularization.objection(met.training)]
        found += [
            met.regularization.objection(procedure.retraining(met.training), of_retraining=True)
            for procedure in met.procedures.values()
        ]
        text = next((one for one in found if one is not None), None)
        if text is not None and label not in told:
            told.add(label)
            path = ("regularization", label)
            told_of = f"With training {quoted(met.training_label)}: {text}"
            yield problem_at(place_of(root, path, text), path, told_of)


def without_effect(root: Node, study: Study, expansion: Expansion) -> Iterator[Problem]:
    """Yields the keys of procedures that say nothing in any cell that the procedure meets."""
    idle: dict[str, frozenset[str]] = {}
    for met in _meetings(study, expansion):
        for name, procedure in met.procedures.items():
            here = procedure.idle(met.regularization.restraints(procedure.retraining(met.training)))
            idle[name] = idle.get(name, here) & here
    for name, keys in idle.items():
        for key in sorted(keys):
            text = f"`{key}` says nothing without the regularizer `{_NEEDED[key]}`; drop the key."
            place = place_of(root, ("procedures", name), text)
            yield problem_at(place, ("procedures", name, key), text)


_NEEDED = {"patience": "early_stopping", "from_iterate": "swa"}
"""The regularizers that keys of procedures are about."""
