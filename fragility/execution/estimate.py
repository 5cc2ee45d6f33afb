"""Scores the training points of each model in a batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fragility.errors import MethodFailure
from fragility.estimators import Estimate, Estimator
from fragility.execution.detect import pairs_of_training_points
from fragility.execution.examples import keep_scored
from fragility.execution.executors import is_out_of_memory
from fragility.execution.outcome import Outcome
from fragility.execution.workbench import Workbench
from fragility.numerics.trained import TrainedModel
from fragility.plan.tasks import Batch, Task

_TRY = "`fragility.testing.check_estimator` says more."


def estimate(batch: Batch, bench: Workbench, progress: Callable[[float], None]) -> Outcome:
    """Returns score tables, and each estimator's own diagnostics."""
    outcome = Outcome(batch)
    tables = []
    for position, task in enumerate(batch.tasks):
        planned = bench.cell(task)
        own = planned.cell.procedures[str(task.procedure)].finds == "self_influence"
        tests = np.full(1, np.nan) if own else _tests(bench, task)
        groups = _groups(bench, task)
        shape = (len(tests), planned.facts.n_train if groups is None else len(groups))
        estimator = planned.cell.estimators[str(task.estimator)]
        # Behind the trainings that are scored may stand one that chooses points.
        trainings = task.inputs[: estimator.models]
        models = [bench.trained(planned, train_id) for train_id in trainings]
        try:
            if own:
                result = _self_influence(estimator, models)
            else:
                test_points = torch.from_numpy(tests).to(bench.device)
                result = _scored(estimator, models, test_points, groups, shape)
        except MethodFailure as failure:
            outcome.fail(position, str(failure))
            tables.append(np.full(shape, np.nan))
            continue
        scores = result.scores.double().cpu().numpy()
        tables.append(scores)
        if groups is None:
            outcome.add(
                "score_facts",
                position,
                test_point=np.repeat(tests, shape[1]),
                train_point=np.tile(np.arange(shape[1]), len(tests)),
                score=scores.ravel(),
            )
            if not own:
                keep_scored(outcome, bench, task, position, tests, scores)
        for name, value in result.diagnostics.items():
            detail = result.details.get(name)
            outcome.add(
                "diagnostic_facts",
                position,
                name=name,
                value=value,
                detail=detail,
                test_point=None,
            )
        for name, values in result.by_test_point.items():
            outcome.add(
                "diagnostic_facts",
                position,
                name=[name] * len(tests),
                value=values.double().cpu().numpy(),
                detail=None,
                test_point=tests,
            )
        if result.spectrum is not None:
            outcome.add_spectrum(position, result.spectrum)
        progress((position + 1) / len(batch.tasks))
    outcome.arrays = {"scores": np.stack(tables)}
    return outcome


def _self_influence(estimator: Estimator, models: Sequence[TrainedModel]) -> Estimate:
    """Returns the scores (1, n) of training points for their own loss.

    Raises:
        MethodFailure: all pairs of training points are too many, or there is no answer.
    """
    n = models[0].n
    pairs_of_training_points(n)
    own = [replace(m, test_inputs=m.inputs, test_targets=m.targets) for m in models]
    points = torch.arange(n, device=models[0].inputs.device)
    found = _scored(estimator, own, points, None, (n, n))
    return replace(found, scores=found.scores.diagonal()[None], by_test_point={})


def _tests(bench: Workbench, task: Task) -> NDArray[np.int64]:
    """Returns the chosen test points."""
    planned = bench.cell(task)
    return bench.test_points(planned, planned.cell.procedures[str(task.procedure)]).points


def _groups(bench: Workbench, task: Task) -> list[Tensor] | None:
    """Returns the groups that a task scores, None where it scores single points."""
    if not task.groups:
        return None
    members = bench.removed(task).members
    return [torch.from_numpy(one).to(bench.device) for one in members]


def _scored(
    estimator: Estimator,
    models: Sequence[TrainedModel],
    test_points: Tensor,
    groups: Sequence[Tensor] | None,
    shape: tuple[int, int],
) -> Estimate:
    """Returns the scores, of the expected shape.

    Raises:
        MethodFailure: there is no answer, or an estimator from elsewhere is wrong: that must not
            fail the other estimators of the batch.
    """
    try:
        if groups is None:
            result = estimator.estimate_together(models, test_points)
        else:
            result = estimator.estimate_groups(models, test_points, groups)
    except Exception as error:
        ours = type(estimator).__module__.startswith("fragility.")
        if ours or isinstance(error, MethodFailure) or is_out_of_memory(error):
            raise
        raise MethodFailure(f"{type(error).__name__}: {error}", _TRY) from error
    if complaint := _complaint(result, shape):
        raise MethodFailure(f"`{estimator.kind}` returned {complaint}.", _TRY)
    return result


def _complaint(result: object, shape: tuple[int, int]) -> str | None:
    """Returns what is wrong with what an estimator returned, or None."""
    if not isinstance(result, Estimate) or not isinstance(result.scores, Tensor):
        return "no Estimate with a tensor of scores"
    if tuple(result.scores.shape) != shape:
        found, expected = (" x ".join(map(str, one)) for one in (result.scores.shape, shape))
        return f"scores of shape {found}, not {expected}: test points by training points"
    if not bool(torch.isfinite(result.scores).all()):
        return "scores that are not finite"
    wrong = [name for name, values in result.by_test_point.items() if len(values) != shape[0]]
    return f"`{wrong[0]}` for {len(result.by_test_point[wrong[0]])} test points" if wrong else None
