"""The plan in short: a row for each kind of task."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from fragility.method import JSON
from fragility.plan.cost import gradient_evaluations
from fragility.plan.tasks import KINDS, Kind, Plan, PlannedCell
from fragility.plan.why import why
from fragility.training.schedules import Schedule


@dataclass(frozen=True)
class SummaryRow:
    """One kind of task: how many, at what cost, how many are done, and why the rest runs.

    `gradient_evaluations` counts gradients of one model over all its examples, at most, for the
    tasks that are not done; zero for kinds that do not train.
    """

    kind: Kind
    tasks: int
    batches: int
    gradient_evaluations: int
    done: int
    why: str


@dataclass(frozen=True)
class PlanSummary:
    """What a plan asks for: numbers of base models, repeats and retrainings, and a row a kind.

    `notes` say of each procedure that freezes parameters what its retrainings compute, and which
    numbers of replicates a pilot decides.
    """

    study: str
    settings: int
    repeats: int
    base_models: int
    retrainings: int
    placebos: int
    rows: tuple[SummaryRow, ...]
    notes: tuple[str, ...]


def summarize(plan: Plan, done: frozenset[str], before: Mapping[str, JSON] | None) -> PlanSummary:
    """Returns the summary, given the ids of done tasks and the last plan's resolved study."""
    pending = frozenset(plan.tasks) - done
    retrainings = [t for t in plan.tasks.values() if t.kind == "retrain"]
    placebos = sum(task.slot is None for task in retrainings)
    repeats = max((planned.cell.repeat for planned in plan.cells), default=-1) + 1
    return PlanSummary(
        study=plan.study,
        settings=sum(planned.cell.repeat == 0 for planned in plan.cells),
        repeats=repeats,
        base_models=plan.counts()["train"],
        retrainings=len(retrainings) - placebos,
        placebos=placebos,
        rows=tuple(_row(plan, kind, pending, before) for kind in KINDS),
        notes=tuple(dict.fromkeys(note for planned in plan.cells for note in _notes(planned))),
    )


def _notes(planned: PlannedCell) -> Iterator[str]:
    cell, model = planned.cell, planned.cell.model_label
    for label, known in ((cell.dataset_label, cell.dataset.known), (model, cell.model.known)):
        if not known:
            yield f"{label}: code that a run imports; until then memory and time are not known"
    schedule = getattr(cell.training, "schedule", None)
    may_stop = isinstance(schedule, Schedule) and schedule.may_stop
    if may_stop or cell.regularization.restraints(cell.training).early_stopping is not None:
        yield (
            f"{cell.training_label}: trainings may end before their limit, at a time not known "
            "before; what they take is at most what stands here"
        )
    for name, procedure in cell.procedures.items():
        if rule := procedure.adaptive:
            yield (
                f"{name}: {rule.pilot} replicates to begin with; a run then decides on up to "
                f"{rule.max}, for a reliability of {rule.target_reliability:g}"
            )
        if not cell.model.known:
            continue
        network = planned.network
        if network.select(procedure.parameters) == network.layout:
            continue
        shape = planned.features(name)
        noise = cell.regularization.noise(procedure.retraining(cell.training))
        if shape is not None:
            size = " x ".join(map(str, shape))
            masked = "; what follows is masked at random" if noise.dropout else ""
            yield (
                f"{name}, {model}: the frozen prefix runs once a base model; retrainings see its "
                f"{size} features{masked}"
            )
        elif noise:
            yield (
                f"{name}, {model}: every retraining step runs the whole network, because "
                f"{'images change' if noise.augments else 'layers are masked'} at random"
            )
        else:
            yield (
                f"{name}, {model}: every retraining step runs the whole network, because its "
                "frozen parameters are not a prefix of a sequence of layers"
            )


def _row(
    plan: Plan, kind: Kind, pending: frozenset[str], before: Mapping[str, JSON] | None
) -> SummaryRow:
    batches = [batch for batch in plan.batches if batch.kind == kind]
    tasks = [task for batch in batches for task in batch.tasks]
    waiting = [task for task in tasks if task.task_id in pending]
    return SummaryRow(
        kind=kind,
        tasks=len(tasks),
        batches=len(batches),
        gradient_evaluations=gradient_evaluations(plan, waiting),
        done=len(tasks) - len(waiting),
        why=why(plan, kind, pending, before),
    )
