"""Cells: every fully resolved setting of a study."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fragility.datasets import Dataset
from fragility.diagnostics import Diagnostic
from fragility.estimators import Estimator
from fragility.method import JSON
from fragility.metrics import Metric
from fragility.models import Model
from fragility.procedures import Procedure
from fragility.regularizers import Regularization
from fragility.study.expansion import Expansion, crossings
from fragility.study.load import LoadedStudy
from fragility.study.model import Study
from fragility.study.nodes import flow
from fragility.study.sweep import CROSSED, Row, Sweep
from fragility.training import Training


@dataclass(frozen=True)
class Cell:
    """One setting of dataset x model x regularization x training x swept values x repeat.

    `seed` is the study's; `factors` maps the dotted path of every swept value that applies to the
    cell to that value; `arm` names the cell among the study's cells, all its repeats alike.
    """

    study: str
    dataset_label: str
    dataset: Dataset
    model_label: str
    model: Model
    regularization_label: str
    regularization: Regularization
    training_label: str
    training: Training
    estimators: Mapping[str, Estimator]
    procedures: Mapping[str, Procedure]
    metrics: tuple[Metric, ...]
    diagnostics: tuple[Diagnostic, ...]
    repeat: int
    seed: int
    factors: Mapping[str, JSON]
    arm: str


def cells(loaded: LoadedStudy) -> list[Cell]:
    """Returns the study's cells in the order of the file, the repeat varying fastest.

    Cells that a swept value does not tell apart are one. Takes about 10 us a cell.
    """
    study, expansion = loaded.study, loaded.expansion
    sections = {section: list(getattr(study, section)) for section in CROSSED}
    names = _Names(sections, expansion.sweep)
    found = []
    for labels, applying in crossings(expansion.sweep, sections):
        for row in applying.rows():
            shared = _shared(study, expansion, labels, row)
            arm = names.arm(labels, row)
            found += [Cell(**shared, repeat=repeat, arm=arm) for repeat in range(study.repeats)]
    return found


def _shared(
    study: Study, expansion: Expansion, labels: tuple[str, ...], row: Row
) -> dict[str, Any]:
    """Returns what all repeats of a setting have in common."""
    dataset, model, regularization, training = labels

    def part(section: str, label: str) -> Any:
        return expansion.part(section, label, row)

    return {
        "study": study.study,
        "dataset_label": dataset,
        "dataset": part("datasets", dataset),
        "model_label": model,
        "model": part("models", model),
        "regularization_label": regularization,
        "regularization": Regularization.of(part("regularization", regularization)),
        "training_label": training,
        "training": part("training", training),
        "estimators": {label: part("estimators", label) for label in study.estimators},
        "procedures": {label: part("procedures", label) for label in study.procedures},
        "metrics": study.metrics,
        "diagnostics": study.diagnostics,
        "seed": study.seed,
        "factors": {swept.path: swept.value for swept in row},
    }


class _Names:
    """Names settings by what varies in the study, and by nothing else."""

    def __init__(self, sections: Mapping[str, list[str]], sweep: Sweep) -> None:
        self.varies = [len(sections[section]) > 1 for section in CROSSED]
        texts: dict[str, set[str]] = {}
        for swept in sweep.values:
            texts.setdefault(swept.path, set()).add(swept.text)
        self.tails = {
            path: tail for path, tail in shortest_tails(list(texts)).items() if len(texts[path]) > 1
        }

    def arm(self, labels: tuple[str, ...], row: Row) -> str:
        """Returns for instance `mlp / l2 / depth=3`; the model's label when nothing varies."""
        parts = [label for label, varies in zip(labels, self.varies, strict=True) if varies]
        parts += [
            f"{self.tails[swept.path]}={flow(swept.value)}"
            for swept in row
            if swept.path in self.tails
        ]
        return " / ".join(parts) or labels[1]


def shortest_tails(paths: list[str]) -> dict[str, str]:
    """Returns for each dotted path its fewest last steps that no other path ends with."""
    tails = {}
    for path in paths:
        steps = path.split(".")
        ends = (".".join(steps[-length:]) for length in range(1, len(steps) + 1))
        others = [f".{other}" for other in paths if other != path]
        tails[path] = next(
            (end for end in ends if not any(o.endswith(f".{end}") for o in others)), path
        )
    return tails
