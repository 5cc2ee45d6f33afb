"""Groups removed together, from a study to the tables, against ridge regression in closed form."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fragility.errors import StudyError
from fragility.plan.catalog import Catalog
from tests.execution.test_effects import STRENGTH, with_ones
from tests.tiny import RIDGE, changed, plan, rows, run

GROUPS = {
    "kind": "leave_group_out",
    "removal": "zero_weight",
    "groups": {"kind": "random", "sizes": [0.1, 8], "count": 3},
    "test_points": {"kind": "all"},
}
STUDY = changed(
    RIDGE,
    {
        "procedures": {"groups": GROUPS},
        "estimators.second": {"kind": "exact", "groups": "second_order"},
    },
)


@pytest.fixture(scope="module")
def ridge(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("groups")
    summary = run(STUDY, root)
    assert (summary.failed, summary.skipped) == (0, 0)
    return root


def design() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    cell = plan(STUDY).cells[0].cell
    data = Catalog(Path()).data(cell.dataset, cell.seed)
    train, test = data.train, data.test
    return train.inputs, train.targets[:, 0], test.inputs, test.targets[:, 0]


def members(root: Path) -> dict[int, list[int]]:
    groups: dict[int, list[int]] = {}
    for group, point in rows(root, "SELECT group_id, train_point FROM groups ORDER BY ALL"):
        groups.setdefault(group, []).append(point)
    return groups


def optimum(X: np.ndarray, y: np.ndarray, n: int) -> np.ndarray:
    H = 2 * X.T @ X / n + STRENGTH * np.eye(X.shape[1])
    return np.linalg.solve(H, 2 * X.T @ y / n)


def test_effects_are_those_of_ridge_regression_without_the_group(ridge: Path) -> None:
    X, y, A, b = design()
    X, A, n = with_ones(X), with_ones(A), len(X)
    before = np.square(A @ optimum(X, y, n) - b)
    groups = members(ridge)
    assert sorted(map(len, groups.values())) == [4, 4, 4, 8, 8, 8]
    for group, points in groups.items():
        left = np.setdiff1d(np.arange(n), points)
        after = np.square(A @ optimum(X[left], y[left], n) - b)
        sql = f"SELECT effect FROM effects WHERE group_id = {group} ORDER BY test_point"
        np.testing.assert_allclose(np.ravel(rows(ridge, sql)), after - before, rtol=1e-6)


def test_scores_of_groups_are_sums_or_of_second_order(ridge: Path) -> None:
    X, y, A, b = design()
    X, A, n = with_ones(X), with_ones(A), len(X)
    H = 2 * X.T @ X / n + STRENGTH * np.eye(X.shape[1])
    beta = optimum(X, y, n)
    test = 2 * (A @ beta - b)[:, None] * A
    for group, points in members(ridge).items():
        pull = (2 * (X[points] @ beta - y[points])[:, None] * X[points]).sum(axis=0)
        first = np.linalg.solve(H, pull) / n
        second = np.linalg.solve(H, 2 * X[points].T @ X[points] @ first / n)
        for estimator, move in (("exact", first), ("second", first + second)):
            sql = (
                f"SELECT score FROM scores WHERE group_id = {group}"
                f" AND estimator = '{estimator}' ORDER BY test_point"
            )
            found = np.ravel(rows(ridge, sql))
            np.testing.assert_allclose(found, test @ move, rtol=1e-6, atol=1e-10)


def test_agreement_counts_groups(ridge: Path) -> None:
    sql = "SELECT DISTINCT estimator, n FROM agreements WHERE test_point IS NOT NULL ORDER BY ALL"
    assert rows(ridge, sql) == [("exact", 6), ("second", 6)]
    slopes = dict(
        rows(
            ridge,
            "SELECT estimator, avg(value) FROM agreements WHERE metric = 'slope'"
            " AND test_point IS NULL GROUP BY ALL",
        )
    )
    # First order predicts too little; the second order gets closer.
    assert abs(slopes["second"] - 1) < abs(slopes["exact"] - 1)
    removed = rows(ridge, "SELECT DISTINCT removed FROM trainings WHERE role = 'retraining'")
    assert len(removed) == 6
    assert all(text.startswith("group ") for (text,) in removed)


def test_groups_by_score_wait_for_the_scores(tmp_path: Path) -> None:
    groups = {"kind": "top_score", "sizes": [4], "count": 2, "estimator": "exact", "spread": 1}
    study = changed(STUDY, {"procedures.groups.groups": groups})
    compiled = plan(study)
    kinds = {task_id: task.kind for task_id, task in compiled.tasks.items()}
    for task in compiled.tasks.values():
        if task.kind == "retrain" or task.groups:
            assert "estimate" in {kinds[i] for i in task.inputs}
    summary = run(study, tmp_path)
    assert (summary.failed, summary.skipped) == (0, 0)
    (found,) = members(tmp_path).values()
    sql = (
        "SELECT train_point, avg(score) FROM scores WHERE estimator = 'exact' AND group_id IS NULL"
    )
    scores = dict(rows(tmp_path, f"{sql} GROUP BY 1"))
    assert set(found) == set(sorted(scores, key=lambda point: -scores[point])[:4])


def test_groups_larger_than_the_training_set_are_refused() -> None:
    with pytest.raises(StudyError, match=r"procedures\.groups\.groups.*makes 40 of 40"):
        plan(changed(STUDY, {"procedures.groups.groups.sizes": [40]}))
