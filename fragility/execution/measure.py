"""Measures effects from retrainings, and the agreement of scores with effects."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from fragility.execution.detect import record_detection
from fragility.execution.examples import keep_removed
from fragility.execution.outcome import Outcome
from fragility.execution.workbench import Workbench
from fragility.identity import digest
from fragility.metrics.agreement import measure as measure_agreement
from fragility.numerics.measurables import derivative, measured
from fragility.plan.identities import bootstrap_seed
from fragility.plan.tasks import Batch, PlannedCell, Task
from fragility.procedures import Chosen
from fragility.selectors import Choice


@dataclass(frozen=True)
class Effects:
    """Measurables `before` and `after` (R, S, T), of R replicates, S slots and T test points.

    `chosen`: what slots remove; `base` and `placebo` (R, T): the base model's, and those of the
    retraining that removes nothing; `scale` (S, T): by which a score predicts an effect;
    `probabilities` (S,) of the slots' inclusion in the draw, where they are known and differ.
    """

    chosen: Chosen
    test_points: NDArray[np.int64]
    base: NDArray[np.float64]
    before: NDArray[np.float64]
    after: NDArray[np.float64]
    placebo: NDArray[np.float64]
    scale: NDArray[np.float64]
    probabilities: NDArray[np.float64] | None

    @property
    def members(self) -> tuple[NDArray[np.int64], ...]:
        """The training points of each slot."""
        return self.chosen.members


def group_id(members: NDArray[np.int64]) -> int:
    """Returns what names a group in tables: 52 bits of the digest of its members, ascending.

    A column with missing numbers is one of doubles, which hold no more digits.
    """
    return int(digest(sorted(members.tolist()))[:13], 16)


def measure(batch: Batch, bench: Workbench, progress: Callable[[float], None]) -> Outcome:
    """Returns effects of a procedure, or agreements of an estimator with them."""
    outcome = Outcome(batch)
    for position, task in enumerate(batch.tasks):
        if task.estimator is None:
            _record_effects(outcome, bench, task, position)
        elif bench.cell(task).cell.procedures[str(task.procedure)].finds:
            record_detection(outcome, bench, task, position)
        else:
            _record_agreement(outcome, bench, task, position)
        progress((position + 1) / len(batch.tasks))
    return outcome


def effects_of(bench: Workbench, task: Task) -> Effects:
    """Returns the effects that a measure task without estimator stands for."""
    planned = bench.cell(task)
    procedure = planned.cell.procedures[str(task.procedure)]
    test_points = bench.test_points(planned, procedure).points
    dtype = procedure.retraining(planned.cell.training).torch_dtype
    losses = bench.test_losses(planned, dtype)[test_points]
    retrainings = [i for i in task.inputs if bench.plan.tasks[i].kind == "retrain"]
    after = np.stack([bench.store.arrays(i, "test_loss")["test_loss"] for i in retrainings])
    after = after[:, test_points].reshape(procedure.conduct.replicates, -1, len(test_points))
    # The first retraining of every replicate is the placebo.
    compared = procedure.compared(bench.removed(task), losses, after[:, 1:])
    measurable = procedure.measurable
    base = measured(losses, measurable)
    return Effects(
        compared.chosen,
        test_points,
        np.broadcast_to(base, (len(after), len(base))),
        measured(compared.before, measurable),
        measured(compared.after, measurable),
        measured(after[:, 0], measurable),
        compared.lost[:, None] * derivative(losses, measurable),
        _telling(compared.chosen.probabilities),
    )


def _telling(probabilities: NDArray[np.float64] | None) -> NDArray[np.float64] | None:
    """Returns probabilities whose inverses weigh differently, None where some are not known."""
    if probabilities is None or np.isnan(probabilities).any():
        return None
    return None if probabilities.min() == probabilities.max() else probabilities


def _record_effects(outcome: Outcome, bench: Workbench, task: Task, position: int) -> None:
    planned = bench.cell(task)
    procedure = planned.cell.procedures[str(task.procedure)]
    removes = procedure.removes
    effects = effects_of(bench, task)
    tests, slots = effects.test_points, len(effects.members)
    named = {"train_point": None, "group_id": None}
    of_slots = {**named, **_named(removes, effects.members, len(tests))}
    for replicate in range(len(effects.after)):
        base, placebo = effects.base[replicate], effects.placebo[replicate]
        outcome.add(
            "effect_facts",
            position,
            replicate=replicate,
            removal="placebo",
            test_point=tests,
            before=base,
            after=placebo,
            effect=placebo - base,
            measurable=procedure.measurable,
            score_scale=0.0,
            **named,
        )
        before, after = effects.before[replicate], effects.after[replicate]
        outcome.add(
            "effect_facts",
            position,
            replicate=replicate,
            removal=removes,
            test_point=np.tile(tests, slots),
            before=before.ravel(),
            after=after.ravel(),
            effect=(after - before).ravel(),
            measurable=procedure.measurable,
            score_scale=effects.scale.ravel(),
            **of_slots,
        )
    if removes == "group":
        rules = effects.chosen.roles or (procedure.rule[1],) * slots
        for members, rule in zip(effects.members, rules, strict=True):
            outcome.add(
                "group_facts",
                position,
                group_id=group_id(members),
                rule=rule,
                train_point=members,
            )
    _record_points(outcome, bench, task, planned, position)
    if removes == "point":
        mean = (effects.after - effects.before).mean(axis=0).T
        removed = np.concatenate(effects.members)
        keep_removed(outcome, bench, task, position, tests, removed, mean)


def _named(
    removes: str, members: tuple[NDArray[np.int64], ...], repeats: int
) -> dict[str, NDArray[np.int64]]:
    """Returns the column that names what slots remove, each name `repeats` times."""
    if removes == "group":
        return {"group_id": np.repeat([group_id(one) for one in members], repeats)}
    return {"train_point": np.repeat(np.concatenate(members), repeats)}


def _record_points(
    outcome: Outcome, bench: Workbench, task: Task, planned: PlannedCell, position: int
) -> None:
    procedure = planned.cell.procedures[str(task.procedure)]
    data = bench.catalog.data(planned.cell.dataset, planned.cell.seed)
    losses = bench.base_losses(planned)
    splits = {
        "train": (_removed_points(bench.removed(task), procedure.rule[1]), data.train),
        "test": (bench.test_points(planned, procedure), data.test),
    }
    for split, (choice, examples) in splits.items():
        # A point may stand in several groups.
        points, first = np.unique(choice.points, return_index=True)
        outcome.add(
            "point_facts",
            position,
            split=split,
            point=points,
            role=[choice.roles[place] for place in first],
            value=choice.values[first],
            probability=choice.probabilities[first],
            loss=losses[f"{split}_loss"][points],
            source_row=examples.rows[points],
        )


def _removed_points(removed: Chosen, rule: str) -> Choice:
    """Returns the training points of all slots, one after the other."""
    sizes = [len(members) for members in removed.members]
    unknown = np.full(len(sizes), np.nan)
    chances = unknown if removed.probabilities is None else removed.probabilities
    roles = removed.roles or (rule,) * len(sizes)
    return Choice(
        points=np.concatenate(removed.members),
        values=np.repeat(removed.values, sizes),
        probabilities=np.repeat(chances, sizes),
        roles=tuple(r for role, size in zip(roles, sizes, strict=True) for r in [role] * size),
    )


def _record_group_scores(
    outcome: Outcome, effects: Effects, scores: NDArray[np.float64], position: int
) -> None:
    tests = effects.test_points
    outcome.add(
        "score_facts",
        position,
        test_point=np.tile(tests, len(effects.members)),
        train_point=None,
        score=scores.T.ravel(),
        **_named("group", effects.members, len(tests)),
    )


def _record_agreement(outcome: Outcome, bench: Workbench, task: Task, position: int) -> None:
    cell = bench.cell(task).cell
    effects = effects_of(bench, bench.plan.tasks[task.inputs[0]])
    scores = bench.store.arrays(task.inputs[1], "scores")["scores"]
    if not bench.plan.tasks[task.inputs[1]].groups:
        scores = np.stack([scores[:, one].sum(axis=1) for one in effects.members], axis=1)
    if cell.procedures[str(task.procedure)].removes == "group":
        _record_group_scores(outcome, effects, scores, position)
    scores = scores * effects.scale.T
    changes = (effects.after - effects.before).transpose(0, 2, 1)
    # A diverged retraining has no effect; it is counted by n, which says how many points are left.
    finite = np.isfinite(changes).all(axis=(0, 1)) & np.isfinite(scores).all(axis=0)
    # The products of a bootstrap are too small to share: one thread is three times faster than two.
    weightings: list[NDArray[np.float64] | None] = [None]
    if (known := effects.probabilities) is not None and finite.any():
        weightings.append(known[finite])
    for probabilities in weightings:
        with threadpool_limits(1):
            agreements, summaries = measure_agreement(
                scores[:, finite],
                changes[:, :, finite],
                cell.metrics,
                seed=bootstrap_seed(cell.seed),
                probabilities=probabilities,
            )
        for agreement in agreements:
            row = asdict(agreement)
            if agreement.test_point is not None:
                row["test_point"] = int(effects.test_points[agreement.test_point])
            outcome.add("agreement_facts", position, **row)
        for summary in summaries:
            outcome.add("summary_facts", position, **asdict(summary))
