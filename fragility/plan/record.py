"""The plan as plain data: for the store's tables, and as a file to save and compare."""

from __future__ import annotations

import json
from typing import Any

from fragility.estimators import Estimator
from fragility.method import JSON, canonical
from fragility.numerics.network import parameter_words
from fragility.plan.tasks import Plan, PlannedCell
from fragility.store.runs import PlanRecord


def plan_record(plan: Plan) -> PlanRecord:
    """Returns the plan as columns of the store's tables."""
    batch_of = {task_id: batch.batch_id for batch in plan.batches for task_id in batch.task_ids}
    cells, tasks = plan.cells, plan.placements
    arms = [
        (planned, estimator, procedure)
        for planned in cells
        for procedure in planned.cell.procedures
        for estimator in planned.cell.estimators
    ]
    return PlanRecord(
        plan_id=plan.plan_id,
        resolved=plan.resolved,
        cells={
            "cell_id": [c.cell_id for c in cells],
            "study": [c.cell.study for c in cells],
            "dataset": [c.cell.dataset_label for c in cells],
            "model": [c.cell.model_label for c in cells],
            "regularization": [c.cell.regularization_label for c in cells],
            "training": [c.cell.training_label for c in cells],
            "repeat": [c.cell.repeat for c in cells],
            "seed": [c.cell.seed for c in cells],
            "factors": [json.dumps(canonical(dict(c.cell.factors))) for c in cells],
            "n_train": [c.facts.n_train for c in cells],
            "n_test": [c.facts.n_test for c in cells],
            "parameters": [c.parameters for c in cells],
            "arm": [c.cell.arm for c in cells],
            "departure": ["; ".join(c.cell.regularization.departures) or None for c in cells],
        },
        arms={
            "cell_id": [planned.cell_id for planned, _, _ in arms],
            "estimator": [estimator for _, estimator, _ in arms],
            "procedure": [procedure for _, _, procedure in arms],
            "truth": [planned.cell.procedures[procedure].truth for planned, _, procedure in arms],
            "score_parameters": [_scored_words(p.cell.estimators[e]) for p, e, _ in arms],
            "truth_parameters": [
                parameter_words(p.cell.procedures[q].parameters) for p, _, q in arms
            ],
            "mismatch": [mismatch(p, e, q) for p, e, q in arms],
        },
        tasks={
            "task_id": [t.task_id for t in tasks],
            "cell_id": [cells[t.cell].cell_id for t in tasks],
            "kind": [t.kind for t in tasks],
            "estimator": [t.estimator for t in tasks],
            "procedure": [t.procedure for t in tasks],
            "slot": [t.slot for t in tasks],
            "replicate": [t.replicate for t in tasks],
            "batch_id": [batch_of[t.task_id] for t in tasks],
        },
    )


def mismatch(planned: PlannedCell, estimator: str, procedure: str) -> str | None:
    """Returns the badge of an arm that scores one set of parameters and retrains another."""
    scored = planned.cell.estimators[estimator].scored
    retrained = planned.cell.procedures[procedure].parameters
    if planned.cell.procedures[procedure].finds:
        return None
    if scored is None or planned.network.select(scored) == planned.network.select(retrained):
        return None
    words = parameter_words(scored), parameter_words(retrained)
    return f"target mismatch: score {words[0]}, truth {words[1]}"


def _scored_words(estimator: Estimator) -> str | None:
    return None if estimator.scored is None else parameter_words(estimator.scored)


def plan_file(plan: Plan) -> dict[str, JSON]:
    """Returns the plan as JSON: cells with their resolved methods, tasks with inputs, batches."""
    return {
        "study": plan.study,
        "plan_id": plan.plan_id,
        "seed": plan.seed,
        "cells": [_cell(planned) for planned in plan.cells],
        "tasks": [_task(task) for task in plan.placements],
        "batches": [
            {"batch_id": b.batch_id, "kind": b.kind, "tasks": [t.task_id for t in b.tasks]}
            for b in plan.batches
        ],
    }


def _cell(planned: PlannedCell) -> dict[str, JSON]:
    cell = planned.cell
    methods: dict[str, Any] = {
        "dataset": cell.dataset,
        "model": cell.model,
        "training": cell.training,
        "estimators": dict(cell.estimators),
        "procedures": dict(cell.procedures),
        "metrics": list(cell.metrics),
        "diagnostics": list(cell.diagnostics),
    }
    return {
        "cell_id": planned.cell_id,
        "arm": cell.arm,
        "repeat": cell.repeat,
        "factors": canonical(dict(cell.factors)),
        "data_id": planned.data_id,
        "parameters": planned.parameters,
        **{name: canonical(method) for name, method in methods.items()},
        "regularization": cell.regularization.identity(),
    }


def _task(task: Any) -> dict[str, JSON]:
    fields = ("task_id", "kind", "cell", "estimator", "procedure", "slot", "replicate")
    values: dict[str, JSON] = {name: getattr(task, name) for name in fields}
    return {**{k: v for k, v in values.items() if v is not None}, "inputs": list(task.inputs)}
