"""A study of images and a convolutional network, from training to the report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import Tensor

from fragility.datasets.base import Source
from fragility.datasets.digits import Digits
from fragility.errors import DataError
from fragility.execution import trial, work
from fragility.execution.events import BatchFinished, Event, PlanReady
from fragility.numerics import stack
from fragility.numerics.network import Network
from fragility.numerics.stack import StackProblem, differentiated
from fragility.report.page import render
from tests.tiny import changed, plan, rows, run

POINTS = {
    "train_points": {"kind": "random", "count": 5},
    "test_points": {"kind": "random", "count": 3},
}
STUDY: dict[str, Any] = {
    "study": "images",
    "controls": False,
    "datasets": {"digits": {"kind": "digits", "subset": {"train": 40, "test": 8}}},
    "models": {"lenet": {"kind": "lenet", "width": 0.2, "padding": 4}},
    "regularization": {"l2": {"kind": "weight_decay", "strength": 0.01}},
    "training": {
        "adam": {
            "kind": "minibatch",
            "batch_size": 16,
            "epochs": 6,
            "optimizer": {"kind": "adam", "learning_rate": 0.01},
        }
    },
    "estimators": {
        "last": {"kind": "exact", "parameters": "last_layer", "damping": 0.01},
        "cg": {"kind": "cg", "curvature": "gauss_newton", "damping": 0.1},
        "ekfac": {"kind": "ekfac", "damping": 0.1},
    },
    "procedures": {
        "frozen": {"kind": "frozen", **POINTS},
        "warm": {"kind": "leave_one_out", "parameters": "last_layer", "epochs": 2, **POINTS},
        "all": {"kind": "leave_one_out", "epochs": 2, "state": "resume", **POINTS},
    },
    "metrics": ["pearson", "spearman"],
    "diagnostics": ["gradient_norm"],
}


@pytest.fixture(autouse=True)
def _images(monkeypatch: pytest.MonkeyPatch) -> None:
    """Digits as the images that they are."""
    read = Digits.read

    def as_images(self: Digits, seed: int, directory: Path) -> Source:
        source = read(self, seed, directory)
        shaped = source.train.inputs.reshape(-1, 1, 8, 8) / np.float32(16)
        return Source(
            type(source.train)(shaped, source.train.targets, source.train.rows),
            source.test,
            source.features,
            source.classes,
        )

    monkeypatch.setattr(Digits, "read", as_images)


def test_a_convolutional_network_is_trained_scored_retrained_and_reported(tmp_path: Path) -> None:
    assert plan(STUDY).cells[0].features("warm") == (17,)
    assert plan(STUDY).cells[0].features("all") is None
    summary = run(STUDY, tmp_path / "results")
    assert summary.failed == 0
    counts = rows(
        tmp_path / "results",
        "SELECT procedure, count(DISTINCT train_point) FROM effects "
        "WHERE removal <> 'placebo' GROUP BY ALL ORDER BY ALL",
    )
    assert counts == [("all", 5), ("frozen", 5), ("warm", 5)]
    values = rows(
        tmp_path / "results", "SELECT estimator, procedure FROM summaries WHERE value IS NOT NULL"
    )
    assert set(values) >= {("last", "frozen"), ("last", "warm"), ("cg", "all"), ("ekfac", "all")}
    page = tmp_path / "page.html"
    render(tmp_path / "results", summary.run_id, page)
    assert "lenet" in page.read_text()


def test_retraining_on_cached_features_is_retraining_inside_the_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fields = {"procedures.all.parameters": "last_layer", "training.adam.dtype": "float64"}
    study = changed(STUDY, fields)
    run(study, tmp_path / "cached")
    with monkeypatch.context() as patch:
        patch.setattr(Network, "split", lambda network, layout: None)
        run(study, tmp_path / "whole")
    sql = "SELECT procedure, test_point, train_point, after FROM effects ORDER BY ALL"
    cached, whole = (rows(tmp_path / name, sql) for name in ("cached", "whole"))
    assert [row[:3] for row in cached] == [row[:3] for row in whole]
    assert [row[3] for row in cached] == pytest.approx([row[3] for row in whole], abs=1e-10)


@pytest.mark.parametrize("kind", ["minibatch", "full_batch"])
def test_a_training_on_many_images_is_predicted_from_some_of_them(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    time = 0.0

    def gradients(problem: StackProblem, theta: Tensor) -> tuple[Tensor, Tensor]:
        nonlocal time
        time += problem.weights.numel()
        seen.append(problem.weights.shape[1])
        return differentiated(problem, theta)

    monkeypatch.setattr(stack, "differentiated", gradients)
    monkeypatch.setattr(trial, "perf_counter", lambda: time)
    monkeypatch.setattr(work, "perf_counter", lambda: time)
    monkeypatch.setattr(trial, "_TRIED", 1)
    unit = "epochs" if kind == "minibatch" else "steps"
    adam: dict[str, Any] = {"kind": kind, unit: 8}
    if kind == "minibatch":
        adam["batch_size"] = 4
    loo = {"kind": "leave_one_out", unit: 4, **POINTS}
    fields = {
        "training.adam": adam,
        "datasets.digits.subset.train": 200,
        "procedures": {"all": loo},
        "diagnostics": [],
    }
    tried: list[int] = []
    took: list[float] = []

    def listen(event: Event) -> None:
        if isinstance(event, PlanReady):
            tried.append(max(seen))
        if isinstance(event, BatchFinished) and event.kind in ("train", "retrain"):
            took.append(event.seconds)

    summary = run(changed(STUDY, fields), tmp_path, on_event=listen)
    assert tried == [32 if kind == "minibatch" else 8]
    assert summary.predicted_seconds is not None
    assert sum(took) / 2 <= summary.predicted_seconds <= 2 * sum(took)


def test_a_model_for_images_refuses_a_table() -> None:
    table = changed(STUDY, {"datasets.digits": {"kind": "iris"}})
    with pytest.raises(DataError, match="`lenet` reads images"):
        plan(table)
