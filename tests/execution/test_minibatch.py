"""A study whose models are trained on minibatches, from the file to the tables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fragility.execution import checkpoint
from fragility.numerics.stack import StackProblem
from tests.tiny import TINY, Study, changed, everything, rows, run

POINTS = {
    "kind": "leave_one_out",
    "train_points": {"kind": "indices", "indices": [3, 8, 11]},
    "test_points": {"kind": "indices", "indices": [0, 1, 2]},
}
MINIBATCH: Study = changed(
    TINY,
    {
        "training": {
            "mini": {
                "kind": "minibatch",
                "batch_size": 12,
                "epochs": 4,
                "optimizer": {"kind": "adam", "learning_rate": 0.05},
                "dtype": "float64",
            }
        },
        "procedures": {
            "shared": {**POINTS, "epochs": 2},
            "independent": {**POINTS, "epochs": 2, "order": "independent", "replicates": 2},
            "cold": {**POINTS, "start": "cold", "removal": "zero_weight"},
        },
    },
)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("minibatch")
    summary = run(MINIBATCH, root)
    assert (summary.failed, summary.skipped) == (0, 0)
    return root


def test_a_second_run_finds_everything_done(store: Path) -> None:
    again = run(MINIBATCH, store)
    assert again.ok == 0
    assert again.cached > 0


def test_trainings_count_the_steps_of_their_epochs(store: Path) -> None:
    found = dict(
        rows(store, "SELECT COALESCE(procedure, 'base'), max(steps) FROM trainings GROUP BY 1")
    )
    # 35 examples in batches of 12: three batches an epoch, the last of 11 examples.
    assert found == {"base": 12, "shared": 6, "independent": 6, "cold": 12}


def test_a_cold_placebo_in_the_shared_order_is_the_base_model(store: Path) -> None:
    found = rows(
        store,
        "SELECT max(abs(effect)) FROM effects WHERE procedure = 'cold' AND removal = 'placebo'",
    )
    assert found[0][0] < 1e-12


def test_replicates_in_orders_of_their_own_differ(store: Path) -> None:
    sql = (
        "SELECT count(DISTINCT effect) FROM effects "
        "WHERE procedure = 'independent' AND test_point = 0 AND removal = '{}'"
    )
    assert rows(store, sql.format("placebo")) == [(2,)]
    assert rows(store, sql.format("point")) == [(6,)]


@pytest.mark.parametrize("procedure", ["shared", "independent"])
def test_a_retraining_does_not_depend_on_those_beside_it(
    procedure: str, store: Path, tmp_path: Path
) -> None:
    fewer: dict[str, Any] = {**MINIBATCH["procedures"][procedure]}
    fewer |= {"train_points": {"kind": "indices", "indices": [8]}, "replicates": 1}
    run(changed(MINIBATCH, {"procedures": {procedure: fewer}}), tmp_path)
    sql = (
        "SELECT task_id, test_point, effect FROM effects JOIN trainings USING (cell_id, procedure, "
        f"replicate) WHERE procedure = '{procedure}' AND replicate = 0 AND train_point = 8 "
        "AND removed = '8' ORDER BY test_point"
    )
    many, alone = rows(store, sql), rows(tmp_path, sql)
    assert len(alone) == 3
    assert [row[:2] for row in many] == [row[:2] for row in alone]
    assert [row[2] for row in many] == pytest.approx([row[2] for row in alone], abs=1e-9)


@pytest.mark.parametrize("order", ["shared", "independent"])
def test_last_layers_are_retrained_on_their_features_in_either_order(
    order: str, tmp_path: Path
) -> None:
    last = {**POINTS, "parameters": "last_layer", "order": order}
    summary = run(changed(MINIBATCH, {"repeats": 2, "procedures": {"last": last}}), tmp_path)
    assert summary.failed == 0
    moved = rows(
        tmp_path, "SELECT min(distance), max(distance) FROM trainings WHERE role <> 'base'"
    )
    assert 0 < moved[0][0] < moved[0][1]


def test_an_interrupted_stack_goes_on_inside_an_epoch(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint, "INTERVAL_SECONDS", 0.0)
    monkeypatch.setattr("fragility.execution.run.predict_seconds", lambda bench, batches: 0.0)
    evaluate, left = StackProblem.evaluate_rows, [6]

    def counted(problem: StackProblem, theta: Any, batch: Any) -> Any:
        left[0] -= 1
        if left[0] == 0:
            raise KeyboardInterrupt
        return evaluate(problem, theta, batch)

    monkeypatch.setattr(StackProblem, "evaluate_rows", counted)
    assert run(MINIBATCH, tmp_path).interrupted
    left[0] = 14
    assert run(MINIBATCH, tmp_path).interrupted
    assert not run(MINIBATCH, tmp_path).interrupted
    # Each resumption repeats the step it was interrupted in.
    assert everything(tmp_path) == everything(store)
