"""Scores the training points of each model in a batch."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from fragility.errors import MethodFailure
from fragility.execution.outcome import Outcome
from fragility.execution.workbench import Workbench
from fragility.plan.tasks import Batch


def estimate(batch: Batch, bench: Workbench, progress: Callable[[float], None]) -> Outcome:
    """Returns score tables, and each estimator's own diagnostics."""
    outcome = Outcome(batch)
    tables = []
    for position, task in enumerate(batch.tasks):
        planned = bench.cell(task)
        chosen = bench.test_points(planned, planned.cell.procedures[str(task.procedure)])
        test_points = torch.from_numpy(chosen.points).to(bench.device)
        shape = (len(chosen.points), planned.facts.n_train)
        models = [bench.trained(planned, train_id) for train_id in task.inputs]
        try:
            result = planned.cell.estimators[str(task.estimator)].estimate_together(
                models, test_points
            )
        except MethodFailure as failure:
            outcome.fail(position, str(failure))
            tables.append(np.full(shape, np.nan))
            continue
        scores = result.scores.double().cpu().numpy()
        tables.append(scores)
        test, train = np.meshgrid(chosen.points, np.arange(shape[1]), indexing="ij")
        outcome.add(
            "score_facts",
            position,
            test_point=test.ravel(),
            train_point=train.ravel(),
            score=scores.ravel(),
        )
        for name, value in result.diagnostics.items():
            outcome.add("diagnostic_facts", position, name=name, value=value, test_point=None)
        for name, values in result.by_test_point.items():
            outcome.add(
                "diagnostic_facts",
                position,
                name=[name] * len(chosen.points),
                value=values.double().cpu().numpy(),
                test_point=chosen.points,
            )
        progress((position + 1) / len(batch.tasks))
    outcome.arrays = {"scores": np.stack(tables)}
    return outcome
