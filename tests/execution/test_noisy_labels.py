"""Planted labels, from a study to the tables, against automatic derivatives and scikit-learn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from fragility.errors import StudyError
from fragility.plan.catalog import Catalog
from fragility.store import Store
from tests.tiny import TINY, changed, plan, rows, run

STRENGTH = 0.05
STUDY = changed(
    TINY,
    {
        "datasets.s": {
            "kind": "synthetic",
            "n": 120,
            "n_features": 3,
            "n_informative": 3,
            "test_n": 40,
        },
        "datasets.s.label_noise": 0.15,
        "models": {"linear": {"kind": "linear"}},
        "training.adam": {
            "kind": "full_batch",
            "optimizer": {"kind": "lbfgs"},
            "steps": 300,
            "gradient_norm": 1e-9,
            "dtype": "float64",
        },
        "estimators": {"exact": {"kind": "exact"}, "chance": {"kind": "random"}},
        "procedures": {
            "itself": {"kind": "noisy_labels"},
            "others": {"kind": "noisy_labels", "by": "test_points"},
        },
    },
)


@pytest.fixture(scope="module")
def noisy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("noisy")
    summary = run(STUDY, root)
    assert (summary.failed, summary.skipped) == (0, 0)
    return root


def _flipped(study: dict) -> np.ndarray:
    cell = plan(study).cells[0].cell
    data = Catalog(Path()).data(cell.dataset, cell.seed)
    return np.isin(np.arange(len(data.train.targets)), data.flipped)


def _area(root: Path, procedure: str, estimator: str) -> tuple:
    ((*found,),) = rows(
        root,
        "SELECT value, ci_low, ci_high, chance, n FROM agreements WHERE metric = 'auc'"
        f" AND procedure = '{procedure}' AND estimator = '{estimator}'",
    )
    return tuple(found)


def test_self_influence_is_that_of_automatic_derivatives(noisy: Path) -> None:
    planned = plan(STUDY).cells[0]
    data = Catalog(Path()).data(planned.cell.dataset, planned.cell.seed)
    X, y = torch.from_numpy(data.train.inputs).double(), torch.from_numpy(data.train.targets)
    with Store.open(noisy, write=False) as store:
        trained = store.read_model(planned.train_id)
    weight, bias = (torch.from_numpy(trained[name]) for name in planned.network.layout.names)
    theta, n = torch.cat([weight.flatten(), bias]), len(X)

    def losses(flat: torch.Tensor) -> torch.Tensor:
        logits = X @ flat[: weight.numel()].view_as(weight).T + flat[weight.numel() :]
        return torch.nn.functional.cross_entropy(logits, y, reduction="none")

    def objective(flat: torch.Tensor) -> torch.Tensor:
        return losses(flat).mean() + STRENGTH / 2 * flat.square().sum()

    g = torch.autograd.functional.jacobian(losses, theta)
    H = torch.autograd.functional.hessian(objective, theta)
    expected = (g * torch.linalg.solve(H, g.T).T).sum(dim=1) / n
    found = rows(
        noisy,
        "SELECT score FROM scores WHERE estimator = 'exact' AND test_point IS NULL"
        " ORDER BY train_point",
    )
    np.testing.assert_allclose(np.ravel(found), expected.numpy(), rtol=1e-6)


def test_areas_are_those_of_the_stored_scores(noisy: Path) -> None:
    flipped = _flipped(STUDY)
    assert flipped.sum() == 12
    for estimator in ("exact", "chance"):
        where = f"FROM scores WHERE estimator = '{estimator}'"
        own = rows(noisy, f"SELECT score {where} AND test_point IS NULL ORDER BY train_point")
        others = rows(
            noisy,
            f"SELECT -avg(score) {where} AND test_point IS NOT NULL GROUP BY train_point"
            " ORDER BY train_point",
        )
        for procedure, scores in (("itself", own), ("others", others)):
            value, low, high, chance, n = _area(noisy, procedure, estimator)
            assert value == pytest.approx(roc_auc_score(flipped, np.ravel(scores)))
            assert low < value < high
            assert (chance, n) == (0.5, 80)


def test_the_estimator_finds_what_chance_does_not(noisy: Path) -> None:
    for procedure in ("itself", "others"):
        _, low, _, chance, _ = _area(noisy, procedure, "exact")
        assert low > chance
        _, low, high, chance, _ = _area(noisy, procedure, "chance")
        assert low < chance < high


def test_nothing_is_retrained() -> None:
    assert {task.kind for task in plan(STUDY).placements} >= {"train", "estimate", "measure"}
    assert not [task for task in plan(STUDY).placements if task.kind == "retrain"]


def test_keys_without_effect_are_refused() -> None:
    with pytest.raises(StudyError, match="`parameters` says what is retrained"):
        plan(changed(STUDY, {"procedures.itself.parameters": "last_layer"}))


def test_data_without_planted_labels_are_refused() -> None:
    with pytest.raises(StudyError, match="plants no wrong labels"):
        plan(changed(STUDY, {"datasets.s.label_noise": 0}))
