"""Subsets of the training set, from a study to the tables, against ridge regression on each."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import spearmanr

from fragility.errors import StudyError
from tests.execution.test_effects import STRENGTH, with_ones
from tests.execution.test_group_removal import design, members, optimum
from tests.tiny import RIDGE, changed, plan, rows, run

STUDY = changed(
    RIDGE,
    {
        "procedures": {
            "lds": {
                "kind": "lds",
                "subsets": 12,
                "fraction": 0.7,
                "test_points": {"kind": "all"},
            }
        },
        "metrics": ["spearman"],
    },
)


@pytest.fixture(scope="module")
def ridge(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("lds")
    summary = run(STUDY, root)
    assert (summary.failed, summary.skipped) == (0, 0)
    return root


def test_effects_are_those_of_ridge_regression_on_each_subset(ridge: Path) -> None:
    X, y, A, b = design()
    X, A, n = with_ones(X), with_ones(A), len(X)
    before = np.square(A @ optimum(X, y, n) - b)
    groups = members(ridge)
    assert [len(group) for group in groups.values()] == [12] * 12
    for group, points in groups.items():
        left = np.setdiff1d(np.arange(n), points)
        H = 2 * X[left].T @ X[left] / len(left) + STRENGTH * np.eye(X.shape[1])
        after = np.square(A @ np.linalg.solve(H, 2 * X[left].T @ y[left] / len(left)) - b)
        sql = f"SELECT effect FROM effects WHERE group_id = {group} ORDER BY test_point"
        np.testing.assert_allclose(np.ravel(rows(ridge, sql)), after - before, rtol=1e-5)


def test_the_linear_datamodeling_score_is_the_rank_correlation_over_subsets(ridge: Path) -> None:
    groups = members(ridge)
    for test_point in range(6):
        scores = dict(
            rows(
                ridge,
                f"SELECT train_point, score FROM scores WHERE test_point = {test_point}"
                " AND train_point IS NOT NULL",
            )
        )
        effects = dict(
            rows(
                ridge,
                f"SELECT group_id, effect FROM effects WHERE test_point = {test_point}"
                " AND removal = 'group'",
            )
        )
        predicted = [sum(scores[i] for i in points) for points in groups.values()]
        expected = spearmanr(predicted, [effects[group] for group in groups]).statistic
        ((found,),) = rows(ridge, f"SELECT value FROM agreements WHERE test_point = {test_point}")
        assert found == pytest.approx(expected, abs=1e-12)


def test_more_subsets_keep_the_first() -> None:
    few, many = (
        {t.task_id for t in plan(study).placements if t.kind == "retrain"}
        for study in (STUDY, changed(STUDY, {"procedures.lds.subsets": 15}))
    )
    assert few < many
    assert len(many - few) == 3


def test_measuring_something_else_retrains_nothing() -> None:
    loss, error = (
        {t.task_id for t in plan(study).placements if t.kind == "retrain"}
        for study in (STUDY, changed(STUDY, {"procedures.lds.measurable": "absolute_error"}))
    )
    assert loss == error


def test_a_fraction_that_keeps_everything_is_refused() -> None:
    with pytest.raises(StudyError, match="keeps 40 of 40"):
        plan(changed(STUDY, {"procedures.lds.fraction": 0.99}))
