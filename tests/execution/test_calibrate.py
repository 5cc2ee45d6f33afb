"""Predictions against what the work takes, by a clock that counts gradients and no seconds."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from fragility.diagnostics.gradient_norm import GradientNorm
from fragility.execution import calibrate, trial, work
from fragility.execution.events import BatchFinished, Event
from fragility.execution.workbench import Workbench
from fragility.numerics import stack
from fragility.numerics.convex.affine import AffineStack
from fragility.numerics.curvature import CurvatureMatrix
from fragility.numerics.network import activations
from fragility.numerics.spectrum import Spectrum
from fragility.numerics.stack import StackProblem
from fragility.numerics.trained import TrainedModel
from fragility.plan.catalog import Catalog
from fragility.plan.tasks import Batch
from fragility.store import Store
from tests.tiny import RIDGE, TINY, changed, plan, run

POINTS = {"train_points": {"kind": "all"}, "test_points": {"kind": "all"}}
NEWTON = {"kind": "leave_one_out", "solver": "newton", "parameters": "last_layer", **POINTS}
STUDIES: dict[str, Mapping[str, Any]] = {
    "steps": changed(TINY, {"training.adam.steps": 60, "procedures.warm.steps": 40}),
    "epochs": changed(
        TINY,
        {
            "training.adam": {"kind": "minibatch", "batch_size": 8, "epochs": 12},
            "procedures.warm": {"kind": "leave_one_out", "epochs": 5, **POINTS},
        },
    ),
    "gradient_norm": RIDGE,
    "last_layer": changed(TINY, {"training.adam.steps": 200, "procedures.warm": NEWTON}),
}


class Clock:
    """Goes on by one for every example of every model that a gradient is taken of."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.time = 0.0
        for module in (trial, calibrate, work):
            monkeypatch.setattr(module, "perf_counter", lambda: self.time)
        differentiated, evaluate = stack.differentiated, AffineStack.evaluate
        product, precondition = AffineStack.product, AffineStack.precondition

        def gradients(problem: StackProblem, theta: Tensor) -> Any:
            self.time += problem.weights.numel()
            return differentiated(problem, theta)

        def affine(convex: AffineStack, theta: Tensor) -> Any:
            self.time += convex.weights.numel()
            return evaluate(convex, theta)

        def products(convex: AffineStack, *given: Any) -> Any:
            self.time += convex.weights.numel()
            return product(convex, *given)

        def factor(convex: AffineStack, theta: Tensor) -> Any:
            self.time += convex.price * convex.weights.shape[1]
            return precondition(convex, theta)

        monkeypatch.setattr(stack, "differentiated", gradients)
        monkeypatch.setattr(AffineStack, "evaluate", affine)
        monkeypatch.setattr(AffineStack, "product", products)
        monkeypatch.setattr(AffineStack, "precondition", factor)


@pytest.mark.parametrize("name", STUDIES)
def test_training_is_predicted_within_a_factor_of_two(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Clock(monkeypatch)
    took: list[float] = []

    def listen(event: Event) -> None:
        if isinstance(event, BatchFinished) and event.kind in ("train", "retrain"):
            took.append(event.seconds)

    study = changed(STUDIES[name], {"diagnostics": []})
    summary = run(study, tmp_path, on_event=listen)
    assert summary.failed == 0
    assert summary.predicted_seconds is not None
    assert sum(took) / 2 <= summary.predicted_seconds <= 2 * sum(took)


@pytest.mark.parametrize(
    ("diagnostics", "seconds"),
    [(["gradient_norm"], 900), (["gradient_norm", "hessian_top_eigenvalue"], 900 + 300 * 900)],
)
def test_diagnostics_of_a_large_model_are_tried_on_some_examples(
    diagnostics: list[str], seconds: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(monkeypatch)

    def measured(self: GradientNorm, model: TrainedModel, spectrum: Spectrum) -> float:
        clock.time += model.n
        return 0.0

    def product(self: CurvatureMatrix, vectors: Tensor) -> Tensor:
        clock.time += self.model.n
        return vectors

    monkeypatch.setattr(GradientNorm, "measure", measured)
    monkeypatch.setattr(CurvatureMatrix, "product", product)
    large = {"kind": "mlp", "hidden": [60]}
    digits = {"datasets": {"d": {"kind": "digits", "subset": {"train": 900}}}}
    planned = plan(changed(TINY, {**digits, "models.net": large, "diagnostics": diagnostics}))
    monkeypatch.setattr(trial, "_TRIED", 30 * activations(planned.cells[0].network, (64,)))
    batches = [batch for batch in planned.batches if batch.kind == "diagnose"]
    with Store.open(tmp_path, write=True) as store:
        bench = Workbench(planned, Catalog(tmp_path), store, torch.device("cpu"))
        assert calibrate.predict_seconds(bench, batches) == pytest.approx(seconds)


def test_diagnostics_are_predicted_from_those_of_one_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(monkeypatch)
    norm = GradientNorm.measure

    def slow(self: GradientNorm, model: TrainedModel, spectrum: Spectrum) -> float:
        clock.time += 1e6
        return norm(self, model, spectrum)

    monkeypatch.setattr(GradientNorm, "measure", slow)
    summary = run(changed(TINY, {"repeats": 3}), tmp_path)
    assert summary.predicted_seconds == pytest.approx(3e6, rel=0.1)


def test_equal_retrainings_of_other_points_are_tried_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[str | None] = []

    def noted(bench: Workbench, batch: Batch) -> float:
        tried.append(batch.tasks[0].procedure if batch.kind == "retrain" else None)
        return 1.0

    monkeypatch.setattr(calibrate, "_seconds", noted)
    one = {"kind": "leave_one_out", "start": "warm", "steps": 5, "test_points": {"kind": "all"}}
    points = {"kind": "indices", "indices": [3, 4]}
    procedures = {
        "one": {**one, "train_points": points},
        "other": {**one, "train_points": {"kind": "random", "count": 2}},
        "longer": {**one, "train_points": points, "steps": 6},
        "more": {**one, "train_points": {"kind": "top_loss", "count": 3}},
    }
    planned = plan(changed(TINY, {"procedures": procedures, "repeats": 1}))
    tasks = [task for task in planned.tasks.values() if task.slot is not None]
    batches = [
        Batch(name, "retrain", tuple(task for task in tasks if task.procedure == name))
        for name in procedures
    ]
    with Store.open(tmp_path, write=True) as store:
        bench = Workbench(planned, Catalog(tmp_path), store, torch.device("cpu"))
        assert calibrate.predict_seconds(bench, batches) == len(batches)
    assert sorted(filter(None, tried)) == ["longer", "more", "one"]
