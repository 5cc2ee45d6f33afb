"""Batches: every task once and behind its inputs, alike in shape, and the same whatever is done."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fragility.plan import Plan, compile_study
from tests.tiny import RIDGE, TINY, changed, load, plan

CONVEX = {"kind": "linear"}
SGD = {"kind": "full_batch", "optimizer": {"kind": "sgd", "learning_rate": 0.1}, "steps": 9}
COLD = {
    "kind": "leave_one_out",
    "start": "cold",
    "replicates": 2,
    "train_points": {"kind": "top_score", "estimator": "exact", "count": 3},
    "test_points": {"kind": "indices", "indices": [0]},
}

variations = st.fixed_dictionaries(
    {"repeats": st.integers(1, 4)},
    optional={
        "models.linear": st.just(CONVEX),
        "regularization.more": st.just({"kind": "weight_decay", "strength": 0.2}),
        "training.sgd": st.just(SGD),
        "estimators.more": st.just({"kind": "exact", "damping": 1}),
        "procedures.cold": st.just(COLD),
        "procedures.warm.record_every": st.just(2),
        "datasets.d": st.just(RIDGE["datasets"]["diabetes"]),
        "sweep": st.sampled_from(
            [
                {"estimators.exact.damping": [0.1, 0.2]},
                {"models.net.hidden": [[2], [2, 2]]},
                {"training.adam.optimizer.learning_rate": [0.1, 0.01]},
            ]
        ),
    },
)


def shapes(planned: Plan) -> list[tuple[str, ...]]:
    """What the tasks of each batch must have in common."""
    found = []
    for batch in planned.batches:
        kinds = {
            (
                task.kind,
                planned.cells[task.cell].data_id,
                repr(planned.cells[task.cell].cell.model),
                str(planned.cells[task.cell].cell.training.fusion())
                if task.kind in ("train", "retrain")
                else "",
            )
            for task in batch.tasks
        }
        assert len(kinds) == 1, "a batch holds tasks of one shape"
        found.append(kinds.pop())
    return found


@settings(max_examples=40)
@given(changes=variations)
def test_every_task_is_in_one_batch_behind_its_inputs(changes: dict[str, Any]) -> None:
    planned = plan(changed(TINY, changes))
    done: set[str] = set()
    for batch in planned.batches:
        for task in batch.tasks:
            assert task.task_id not in done
            assert done.issuperset(task.inputs)
            assert task.kind == batch.kind
        done |= batch.task_ids
    assert done == {task.task_id for task in planned.placements}
    assert len({batch.batch_id for batch in planned.batches}) == len(planned.batches)
    shapes(planned)


@settings(max_examples=20)
@given(changes=variations)
def test_cells_know_their_tasks_and_tasks_their_cells(changes: dict[str, Any]) -> None:
    planned = plan(changed(TINY, changes))
    trained = {task.cell: task.task_id for task in planned.placements if task.kind == "train"}
    assert trained == {place: cell.train_id for place, cell in enumerate(planned.cells)}
    for task in planned.placements:
        for name in task.inputs:
            assert name in planned.tasks


def test_models_of_one_shape_share_a_batch_whatever_else_differs() -> None:
    planned = plan(
        changed(
            TINY,
            {
                "repeats": 3,
                "regularization.none": {"kind": "none"},
                "training.slow": {
                    **TINY["training"]["adam"],
                    "steps": 7,
                    "optimizer": {"kind": "adam", "learning_rate": 1e-3},
                },
                "procedures.cold": COLD,
            },
        )
    )
    assert planned.counts()["train"] == 12
    batches = [batch.kind for batch in planned.batches]
    assert batches.count("train") == 1
    assert batches.count("retrain") == 1


@pytest.mark.parametrize(
    ("changes", "stacks"),
    [
        ({"training.sgd": SGD}, 2),
        ({"models.linear": CONVEX}, 2),
        ({"models.wide": {"kind": "mlp", "hidden": [4], "activation": "tanh"}}, 2),
        ({"training.single": {**TINY["training"]["adam"], "dtype": "float32"}}, 2),
        ({"datasets.d": RIDGE["datasets"]["diabetes"]}, 2),
    ],
)
def test_models_of_other_shapes_do_not(changes: dict[str, Any], stacks: int) -> None:
    batches = [batch.kind for batch in plan(changed(TINY, changes)).batches]
    assert batches.count("train") == batches.count("retrain") == stacks


def test_retraining_of_other_parameters_is_another_stack() -> None:
    last = {**TINY["procedures"]["warm"], "parameters": "last_layer"}
    batches = [batch.kind for batch in plan(changed(TINY, {"procedures.last": last})).batches]
    assert batches.count("train") == 1
    assert batches.count("retrain") == 2


def test_a_stack_stays_within_its_memory() -> None:
    whole = plan(TINY)
    alone = compile_study(load(TINY), memory=1)
    assert whole.tasks.keys() == alone.tasks.keys()
    assert {len(b.tasks) for b in alone.batches if b.kind in ("train", "retrain")} == {1}
    assert sum(b.kind == "retrain" for b in whole.batches) == 1


def test_what_a_frozen_prefix_hands_on_is_counted_once_for_all_who_share_it() -> None:
    net = {"kind": "mlp", "hidden": [40]}
    data = {"kind": "digits", "subset": {"train": 1000}}
    last = {**TINY["procedures"]["warm"], "parameters": "last_layer"}
    last["train_points"] = {"kind": "random", "count": 50}
    changes = {"datasets": {"d": data}, "models": {"m": net}, "procedures": {"last": last}}
    features, weights, parameters = 1000 * 40, 3 * 1000, 60 * (40 * 10 + 10)
    every = features + 51 * (weights + parameters)
    for numbers, stacks in ((every, 1), (every - 1, 2)):
        planned = compile_study(load(changed(TINY, changes)), memory=8 * numbers)
        assert sum(batch.kind == "retrain" for batch in planned.batches) == stacks


def test_the_same_study_has_the_same_batches_each_time() -> None:
    study = changed(TINY, {"repeats": 3, "procedures.cold": COLD})
    first, second = plan(study), plan(study)
    assert first.batches == second.batches
    assert first.plan_id == second.plan_id
