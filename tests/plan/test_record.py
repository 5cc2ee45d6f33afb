"""The plan as plain data."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest

from fragility.errors import StudyError
from fragility.plan.record import plan_file, plan_record
from fragility.plan.summary import summarize
from tests.tiny import TINY, changed, plan

STUDY = changed(
    TINY,
    {
        "repeats": 2,
        "estimators.last": {"kind": "exact", "parameters": "last_layer", "damping": 0.1},
        "procedures.last": {**TINY["procedures"]["warm"], "parameters": "last_layer"},
        "sweep": {"regularization.l2.strength": [0.1, 0.2]},
    },
)
PLAN = plan(STUDY)


def test_the_badge_of_an_arm_whose_score_and_truth_concern_other_parameters() -> None:
    arms = plan_record(PLAN).arms
    found = {
        (estimator, procedure): badge
        for estimator, procedure, badge in zip(
            arms["estimator"], arms["procedure"], arms["mismatch"], strict=True
        )
    }
    assert found == {
        ("exact", "warm"): None,
        ("last", "last"): None,
        ("exact", "last"): "target mismatch: score all, truth last_layer",
        ("last", "warm"): "target mismatch: score last_layer, truth all",
    }


def test_columns_are_of_one_length_and_know_the_batches() -> None:
    record = plan_record(PLAN)
    for columns in (record.cells, record.arms, record.tasks):
        assert len({len(column) for column in columns.values()}) == 1
    batch_of = dict(zip(record.tasks["task_id"], record.tasks["batch_id"], strict=True))
    for batch in PLAN.batches:
        assert {batch_of[i] for i in batch.task_ids} == {batch.batch_id}
    assert [json.loads(factors) for factors in record.cells["factors"]] == [
        {"regularization.l2.strength": strength} for strength in (0.1, 0.1, 0.2, 0.2)
    ]


def test_a_saved_plan_has_its_cells_tasks_and_batches() -> None:
    saved: Any = json.loads(json.dumps(plan_file(PLAN)))
    assert len(saved["cells"]) == 4
    assert {task["task_id"] for task in saved["tasks"]} == PLAN.tasks.keys()
    assert [batch["batch_id"] for batch in saved["batches"]] == [b.batch_id for b in PLAN.batches]
    assert saved["cells"][0]["regularization"]["strength"] == 0.1
    for task in saved["tasks"]:
        assert PLAN.tasks.keys() >= set(task["inputs"])


def test_the_summary_counts_each_task_once_at_most_of_its_steps() -> None:
    summary = summarize(PLAN, frozenset(), None)
    assert (summary.settings, summary.repeats, summary.base_models) == (2, 2, 4)
    assert (summary.retrainings, summary.placebos) == (4 * 2 * 4, 4 * 2)
    gradients = {row.kind: row.gradient_evaluations for row in summary.rows}
    assert gradients == {
        "train": 4 * 20,
        "estimate": 0,
        "retrain": 4 * 2 * 5 * 5,
        "measure": 0,
        "diagnose": 0,
    }
    half = frozenset(i for i, task in PLAN.tasks.items() if task.cell % 2)
    rows = {row.kind: row for row in summarize(PLAN, half, None).rows}
    assert rows["retrain"].gradient_evaluations == gradients["retrain"] / 2
    assert (rows["train"].tasks, rows["train"].done) == (4, 2)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"procedures.warm.train_points": {"kind": "top_loss", "count": 36}},
            "procedures.warm.train_points (s): `top_loss` asks for 36 points, but there are 35.",
        ),
        (
            {"procedures.warm.test_points": {"kind": "indices", "indices": [5]}},
            "procedures.warm.test_points (s): `indices` names 5, but positions end at 4.",
        ),
    ],
)
def test_points_that_the_data_do_not_have_are_a_problem_of_the_study(
    changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(StudyError) as error:
        plan(changed(TINY, changes))
    assert message in str(error.value)


def test_the_plan_id_follows_from_what_is_asked_and_how_it_is_called() -> None:
    ids = [
        plan(changed(TINY, changes)).plan_id
        for changes in (
            {},
            {"estimators": {"other": TINY["estimators"]["exact"]}},
            {"repeats": 2},
            {"metrics": ["pearson"]},
        )
    ]
    assert len(set(ids)) == len(ids)
    assert all(a != b for a, b in pairwise(sorted(ids)))
