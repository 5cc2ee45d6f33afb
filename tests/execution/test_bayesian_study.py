"""A Bayesian network in a study: trained, scored and retrained, and what it has no place for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fragility.errors import StudyError
from tests.datasets.published import published_root
from tests.tiny import TINY, changed, plan, rows, run

BAYESIAN = changed(
    TINY,
    {
        "models.net": {
            "kind": "bnn_mlp",
            "hidden": [3],
            "activation": "tanh",
            "noise": 0.1,
            "rho": [-2, 0],
        },
        "regularization": {"none": {"kind": "none"}},
        "training.adam.steps": 200,
        "training.adam.gradient_norm": 1e-9,
        "estimators": {"exact": {"kind": "exact", "parameters": "last_layer_weight"}},
        "procedures.warm.parameters": "last_layer_weight",
        "procedures.warm.removal": "zero_weight",
        "procedures.warm.steps": 120,
    },
)


def test_scores_foretell_the_retraining_of_the_objective_with_its_penalty(tmp_path: Path) -> None:
    """Scores of the means of the last layer, and what their retraining does, to first order."""
    study = changed(
        BAYESIAN,
        {
            # Fails where training taken once more does not end at the model.
            "estimators.path": {"kind": "tracin"},
            "procedures.linear": {
                "kind": "linear_response",
                "parameters": "last_layer_weight",
                "train_points": {"kind": "top_loss", "count": 4},
                "test_points": {"kind": "random", "count": 2},
            },
        },
    )
    assert run(study, tmp_path).failed == 0
    found = np.array(
        rows(
            tmp_path,
            "SELECT s.score, e.effect FROM scores s JOIN effects e "
            "USING (cell_id, test_point, train_point) "
            "WHERE s.estimator = 'exact' AND e.removal = 'point' AND e.procedure = 'warm'",
        ),
        dtype=float,
    )
    assert len(found) == 8
    assert float(np.corrcoef(found.T)[0, 1]) > 0.95
    (placebo,) = rows(
        tmp_path,
        "SELECT max(abs(effect)) FROM effects WHERE removal = 'placebo' AND procedure = 'warm'",
    )
    assert placebo[0] < 0.1 * np.abs(found[:, 1]).max()
    linear = np.array(
        rows(
            tmp_path,
            "SELECT s.score, e.effect FROM scores s JOIN effects e "
            "USING (cell_id, test_point, train_point) "
            "WHERE s.estimator = 'exact' AND e.removal = 'point' AND e.procedure = 'linear'",
        ),
        dtype=float,
    )
    np.testing.assert_allclose(linear[:, 0], linear[:, 1], rtol=1e-6)
    (facts,) = rows(
        tmp_path,
        "SELECT train_accuracy, test_accuracy, train_loss FROM trainings WHERE role = 'base'",
    )
    assert 0.6 < facts[0] <= 1
    assert 0 <= facts[1] <= 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"regularization.none": {"kind": "label_smoothing", "rate": 0.1}},
            "labels are smoothed in a cross-entropy",
        ),
        ({"models.net.divergence": [1, 2, 3]}, "`divergence` has 3 factors"),
        ({"procedures.warm.solver": "newton", "procedures.warm.steps": None}, "convex in no layer"),
        ({"regularization.none": {"kind": "dropout", "rate": 0.5}}, "`dropout` masks hidden"),
    ],
)
def test_what_has_no_place_in_a_bayesian_network_is_refused(
    changes: dict[str, Any], message: str
) -> None:
    study = changed(BAYESIAN, changes)
    for procedure in study["procedures"].values():
        for name in [name for name, value in procedure.items() if value is None]:
            del procedure[name]
    with pytest.raises(StudyError, match=message):
        plan(study)


def test_a_bayesian_lenet_learns_digits(tmp_path: Path) -> None:
    """On the real files: 60 of them are enough to be right four times as often as chance is."""
    study = changed(
        BAYESIAN,
        {
            "datasets": {
                "mnist": {
                    "kind": "mnist",
                    "root": str(published_root()),
                    "subset": {"train": 60, "test": 40},
                }
            },
            "models": {"lenet": {"kind": "bnn_lenet", "width": 0.4, "noise": 0.1}},
            "training": {
                "adam": {
                    "kind": "minibatch",
                    "batch_size": 20,
                    "epochs": 25,
                    "optimizer": {"kind": "adam", "learning_rate": 0.005},
                }
            },
            "estimators.exact.damping": 0.01,
            "procedures.warm": {
                "kind": "leave_one_out",
                "parameters": "last_layer_weight",
                "epochs": 2,
                "train_points": {"kind": "top_loss", "count": 2},
                "test_points": {"kind": "max_loss", "count": 1},
            },
        },
    )
    assert plan(study).cells[0].features("warm") == (2, 34)
    assert run(study, tmp_path).failed == 0
    (facts,) = rows(
        tmp_path, "SELECT train_accuracy, test_accuracy FROM trainings WHERE role = 'base'"
    )
    assert facts[0] > 0.9
    assert facts[1] > 0.4
    finite = rows(tmp_path, "SELECT count(*) FROM scores WHERE isfinite(score)")
    assert finite == [(60,)]
