"""Regularized studies end to end: both sides of an effect alike, influence of what is trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.tiny import changed, rows, run

POINTS = {
    "train_points": {"kind": "random", "count": 8},
    "test_points": {"kind": "random", "count": 3},
}
DECAY = {"kind": "weight_decay", "strength": 0.02}
DAMPED = {"kind": "cg", "curvature": "gauss_newton", "damping": 0.1}
STUDY: dict[str, Any] = {
    "study": "regular",
    "controls": False,
    "datasets": {"data": {"kind": "digits", "subset": {"train": 60, "test": 20}}},
    "models": {"net": {"kind": "mlp", "hidden": [6], "activation": "tanh"}},
    "regularization": {},
    "training": {
        "adam": {
            "kind": "minibatch",
            "batch_size": 20,
            "epochs": 4,
            "optimizer": {"kind": "adam", "learning_rate": 0.01},
            "dtype": "float64",
        }
    },
    "estimators": {"exact": {"kind": "exact", "damping": 0.1}},
    "procedures": {},
    "metrics": ["pearson", "slope"],
    "diagnostics": [],
}


@pytest.mark.parametrize(
    "member",
    [
        {"kind": "dropout", "rate": 0.5},
        {"kind": "swa", "start": 0.5},
        {"kind": "label_smoothing", "rate": 0.2},
        {"kind": "l1", "strength": 0.01},
        {"kind": "early_stopping", "patience": 1},
        {"kind": "gradient_clipping", "norm": 0.1},
    ],
    ids=lambda member: str(member["kind"]),
)
def test_a_retraining_of_no_epochs_has_no_effect(member: dict[str, Any], tmp_path: Path) -> None:
    """Both sides are evaluated alike: without masks or smoothing, and at the average."""
    study = changed(
        STUDY,
        {
            "regularization": {"both": [DECAY, member]},
            "procedures": {"none": {"kind": "leave_one_out", "epochs": 0, **POINTS}},
        },
    )
    run(study, tmp_path)
    effects = rows(tmp_path, "SELECT effect FROM effects")
    assert len(effects) == 27
    assert {value for (value,) in effects} == {0.0}


def test_removals_share_the_masks_of_the_base_model(tmp_path: Path) -> None:
    """Where nothing is removed, going on for some epochs is the same retraining every time."""
    study = changed(
        STUDY,
        {
            "regularization": {"noisy": [DECAY, {"kind": "dropout", "rate": 0.5}]},
            "procedures": {
                "warm": {"kind": "leave_one_out", "epochs": 2, **POINTS},
                "again": {"kind": "leave_one_out", "epochs": 2, "removal": "zero_weight", **POINTS},
            },
        },
    )
    run(study, tmp_path)
    placebos = rows(
        tmp_path,
        "SELECT procedure, effect FROM effects WHERE removal = 'placebo' ORDER BY 1, test_point",
    )
    again = [value for name, value in placebos if name == "again"]
    assert again == [value for name, value in placebos if name == "warm"]
    assert min(map(abs, again)) > 0


@pytest.mark.parametrize(
    "members",
    [
        [DECAY, {"kind": "label_smoothing", "rate": 0.2}],
        [DECAY, {"kind": "l1", "strength": 0.002, "width": 0.05}],
        [
            DECAY,
            {"kind": "l1", "strength": 0.002, "width": 0.05},
            {"kind": "label_smoothing", "rate": 0.2},
        ],
    ],
    ids=["smoothing", "l1", "both"],
)
def test_influence_is_that_of_the_objective_that_is_trained(
    members: list[dict[str, Any]], tmp_path: Path
) -> None:
    """A small change of an example's weight, by Newton's method, is what its score says."""
    weight = 0.99
    study = changed(
        STUDY,
        {
            "datasets": {"data": {"kind": "iris", "test_fraction": 0.2}},
            "models": {"net": {"kind": "linear"}},
            "regularization": {"both": members},
            "training": {"newton": {"kind": "newton", "gradient_norm": 1e-11, "dtype": "float64"}},
            "estimators": {"exact": {"kind": "exact"}},
            "procedures": {
                "dose": {"kind": "upweight", "weight": weight, "against": "opposite", **POINTS}
            },
        },
    )
    run(study, tmp_path)
    found = rows(
        tmp_path,
        "SELECT score, effect FROM scores JOIN effects USING (cell_id, test_point, train_point) "
        "WHERE removal = 'point' ORDER BY test_point, train_point",
    )
    assert len(found) == 24
    scores, effects = np.array(found).T
    np.testing.assert_allclose(effects / (2 * (1 - weight)), scores, rtol=2e-4, atol=1e-7)


def test_what_departs_from_the_objective_is_in_the_cells(tmp_path: Path) -> None:
    study = changed(
        STUDY,
        {
            "regularization": {
                "plain": DECAY,
                "noisy": [DECAY, {"kind": "dropout", "rate": 0.5}, {"kind": "swa"}],
            },
        },
    )
    run(study, tmp_path)
    found = dict(rows(tmp_path, "SELECT regularization, departure FROM cells"))
    assert found["plain"] is None
    assert "dropout masks" in found["noisy"]
    assert "average of iterates" in found["noisy"]


def test_estimators_refuse_what_of_the_objective_they_cannot_take(tmp_path: Path) -> None:
    kinds = ("captum", "cg", "dattri", "ekfac", "kfac", "representer", "tracin")
    study = changed(
        STUDY,
        {
            "regularization": {
                "l1": [DECAY, {"kind": "l1", "strength": 0.01}],
                "smooth": [DECAY, {"kind": "label_smoothing", "rate": 0.1}],
                "noisy": [DECAY, {"kind": "dropout", "rate": 0.1}],
            },
            "estimators": {kind: {"kind": kind} for kind in kinds} | {"cg": DAMPED},
            "procedures": {"loo": {"kind": "leave_one_out", "epochs": 1, **POINTS}},
        },
    )
    run(study, tmp_path)
    failed = rows(
        tmp_path,
        "SELECT regularization, estimator, message FROM tasks JOIN cells USING (cell_id) "
        "WHERE kind = 'estimate' AND status = 'failed' ORDER BY ALL",
    )
    said = {(label, kind): message for label, kind, message in failed}
    assert "one number a layer" in said["l1", "kfac"]
    assert "one number a layer" in said["l1", "ekfac"]
    assert "by its weight decay alone" in said["l1", "representer"]
    assert "one loss for training and test" in said["smooth", "captum"]
    assert "one loss for training and test" in said["smooth", "dattri"]
    assert "without noise" in said["noisy", "tracin"]
    assert not [label for label, kind in said if kind == "cg"]
