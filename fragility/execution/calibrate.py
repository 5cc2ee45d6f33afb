"""Predicts how long a plan takes, from a few steps of each of its stacks on this machine."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from time import perf_counter

import torch
from threadpoolctl import threadpool_limits

from fragility.errors import MethodFailure
from fragility.execution.trial import training_seconds, tried_examples
from fragility.execution.workbench import Workbench
from fragility.identity import digest
from fragility.method import JSON
from fragility.metrics.agreement import measure
from fragility.numerics.curvature import CurvatureMatrix
from fragility.numerics.spectrum import DENSE_LIMIT, Spectrum
from fragility.numerics.trained import TrainedModel
from fragility.plan.cost import budget
from fragility.plan.tasks import Batch, Task

_PRODUCTS = 300


def predict_seconds(bench: Workbench, batches: Iterable[Batch]) -> float:
    """Returns the seconds that a plan's batches will take, approximately; without estimators.

    Of every shape of batch a part is tried: a few steps, the agreement at a few test points, the
    diagnostics of one model.
    """
    timed: dict[str, float] = {}
    total = 0.0
    for batch in batches:
        key = _shape(bench, batch)
        if key not in timed:
            timed[key] = _seconds(bench, batch)
        total += timed[key]
    return total


def _shape(bench: Workbench, batch: Batch) -> str:
    task = batch.tasks[0]
    planned = bench.cell(task)
    model, training = planned.cell.model.identity(), planned.cell.training.identity()
    limits = sorted({budget(bench.plan, t) for t in batch.tasks})
    shape: list[JSON] = [batch.kind, planned.data_id, model, training, list(limits)]
    shape += [len(batch.tasks), task.estimator is None]
    if task.procedure is not None:
        # Which points are removed and tested costs nothing, how many do.
        procedure = planned.cell.procedures[task.procedure]
        points = len(procedure.slots(planned.facts.n_train))
        tests = len(procedure.test_points.slots(planned.facts.n_test))
        shape += [procedure.how, points, tests]
    return digest(shape)


def _seconds(bench: Workbench, batch: Batch) -> float:
    task = batch.tasks[0]
    if batch.kind == "train" or (batch.kind == "retrain" and not _responds(bench, task)):
        return training_seconds(bench, batch.tasks)
    if batch.kind == "measure" and task.estimator is not None:
        return _agreement_seconds(bench, task) * len(batch.tasks)
    if batch.kind == "diagnose":
        return _diagnostic_seconds(bench, batch)
    return 0.0


def _responds(bench: Workbench, task: Task) -> bool:
    procedure = bench.cell(task).cell.procedures[str(task.procedure)]
    return procedure.linear_response is not None


def _diagnostic_seconds(bench: Workbench, batch: Batch) -> float:
    """Returns the seconds for all models of a batch, each taken to cost what an untrained one does.

    Diagnostics of one model share its spectrum, so that they are tried together. Of a large model
    one product with the Hessian is where some ask for eigenvalues, which takes some hundreds; and
    all is tried on the first of many examples.
    """
    planned = bench.cell(batch.tasks[0])
    models = {bench.cell(task).train_id for task in batch.tasks}
    own = [
        planned.cell.diagnostics[task.diagnostic or 0]
        for task in batch.tasks
        if bench.cell(task).train_id == planned.train_id
    ]
    tensors = bench.examples(planned, torch.float64)
    network, n = bench.network(planned), planned.facts.n_train
    large = network.layout.size > DENSE_LIMIT
    kept = tried_examples(planned) if large else n
    started = perf_counter()
    model = TrainedModel(
        network=network,
        loss=planned.trained_loss,
        test_loss=planned.test_loss,
        decay=planned.cell.regularization.decay(network.layout),
        penalties=planned.penalties(network.layout),
        parameters=bench.initial(planned, 0),
        inputs=tensors.inputs[:kept],
        targets=tensors.targets[:kept],
        test_inputs=tensors.test_inputs,
        test_targets=tensors.test_targets,
    ).to(torch.float64)
    spectrum = Spectrum(model)
    products = 0.0
    if large and any(diagnostic.asks_spectrum for diagnostic in own):
        matrix = CurvatureMatrix(model, network.layout, "hessian")
        matrix.product(model.vector(network.layout)[None])
        products = (perf_counter() - started) * (_PRODUCTS - 1)
    for diagnostic in own:
        if not (large and diagnostic.asks_spectrum):
            with suppress(MethodFailure):
                diagnostic.measure(model, spectrum)
    return (perf_counter() - started + products) * max(1.0, n / kept) * len(models)


def _agreement_seconds(bench: Workbench, task: Task) -> float:
    planned = bench.cell(task)
    procedure = planned.cell.procedures[str(task.procedure)]
    points = len(procedure.slots(planned.facts.n_train))
    tests = len(procedure.test_points.slots(planned.facts.n_test))
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(2, min(tests, 3), points, generator=generator, dtype=torch.float64)
    scores, effects = values.numpy()
    started = perf_counter()
    with threadpool_limits(1):
        measure(scores, effects[None], planned.cell.metrics, seed=0)
    return (perf_counter() - started) * tests / len(scores)
