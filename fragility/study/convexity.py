"""Where a study asks for Newton's method on objectives that are not convex."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fragility.errors import Problem
from fragility.models import Model
from fragility.procedures import Procedure
from fragility.study.expansion import Expansion, crossings
from fragility.study.messages import quoted
from fragility.study.model import Study
from fragility.study.nodes import Node, Path
from fragility.study.problems import place_of, problem_at
from fragility.study.sweep import CROSSED
from fragility.training import Training
from fragility.training.newton import Newton


def not_convex(model: Model, training: Training) -> str | None:
    """Returns why a base model cannot be trained that way, or None when it can."""
    if model.convex or not isinstance(training, Newton):
        return None
    return (
        f"`kind: newton` goes to the one optimum of a convex objective, and a model `{model.kind}` "
        "has many. Train it another way, or use the model `linear`; a procedure can still retrain "
        "its last layer by `solver: newton` with `parameters: last_layer`."
    )


def not_convex_retraining(model: Model, training: Training, procedure: Procedure) -> str | None:
    """Returns why a procedure cannot retrain by Newton's method, or None when it can."""
    how = procedure.retraining(training)
    last_layer = procedure.parameters in ("last_layer", "last_layer_weight")
    if model.convex or not isinstance(how, Newton):
        return None
    if not model.convex_last_layer:
        return (
            f"`solver: newton` needs a convex objective, and that of a model `{model.kind}` is "
            "convex in no layer. Use `leave_one_out` with `solver: training`."
        )
    if last_layer:
        return None
    return (
        f"`solver: newton` needs a convex objective, and a model `{model.kind}` is convex in its "
        "last layer alone. Add `parameters: last_layer`, or use `solver: training`."
    )


def convexity(root: Node, study: Study, expansion: Expansion) -> Iterator[Problem]:
    """Yields the trainings and procedures that meet a model they cannot solve, each once."""
    sections = {section: list(getattr(study, section)) for section in CROSSED}
    seen: set[tuple[int, ...]] = set()
    told: set[Path] = set()
    for (_, model_label, _, label), applying in crossings(expansion.sweep, sections):
        for row in applying.rows():
            model: Any = expansion.part("models", model_label, row)
            training: Any = expansion.part("training", label, row)
            procedures: Any = {n: expansion.part("procedures", n, row) for n in study.procedures}
            key = tuple(map(id, (model, training, *procedures.values())))
            if key in seen:
                continue
            seen.add(key)
            texts: dict[Path, str | None] = {("training", label): not_convex(model, training)}
            if texts["training", label] is None:
                for name, procedure in procedures.items():
                    reason = not_convex_retraining(model, training, procedure)
                    texts["procedures", name] = reason
            for path, text in texts.items():
                if text is not None and path not in told:
                    told.add(path)
                    said = f"With model {quoted(model_label)}: {text}"
                    yield problem_at(place_of(root, path, text), path, said)
