"""Estimators that follow the training, from the file to the tables."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.tiny import TINY, Study, changed, rows, run

COLD = {
    "kind": "leave_one_out",
    "start": "cold",
    "removal": "zero_weight",
    "train_points": {"kind": "all"},
    "test_points": {"kind": "all"},
}
MOMENTUM = {"kind": "sgd", "learning_rate": 0.03, "momentum": 0.9}
STUDY: Study = changed(
    TINY,
    {
        "repeats": 2,
        "datasets.s.n": 68,
        "datasets.s.test_n": 4,
        "training": {
            "full": {
                "kind": "full_batch",
                "optimizer": MOMENTUM,
                "schedule": {"kind": "cosine"},
                "steps": 40,
                "dtype": "float64",
            },
            "mini": {
                "kind": "minibatch",
                "batch_size": 16,
                "optimizer": MOMENTUM,
                "epochs": 8,
                "dtype": "float64",
            },
            "quasi": {
                "kind": "full_batch",
                "optimizer": {"kind": "lbfgs"},
                "steps": 5,
                "dtype": "float64",
            },
        },
        "estimators": {
            "unrolled": {"kind": "unrolled"},
            "averaged": {"kind": "unrolled", "ensemble": 2},
            "tracin": {"kind": "tracin"},
        },
        "procedures": {"cold": COLD},
        "metrics": ["pearson"],
        "diagnostics": [],
    },
)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("trajectories")
    run(STUDY, root)
    return root


def table(store: Path, training: str, repeat: int) -> dict[str, np.ndarray]:
    """Scores of each estimator, and effects, of all pairs."""
    where = f"training = '{training}' AND repeat = {repeat}"
    scores = rows(
        store,
        "SELECT estimator, test_point, train_point, score FROM scores JOIN cells USING (cell_id) "
        f"WHERE {where} ORDER BY 1, 2, 3",
    )
    effects = rows(
        store,
        "SELECT test_point, train_point, effect FROM effects JOIN cells USING (cell_id) "
        f"WHERE {where} AND removal = 'point' ORDER BY 1, 2",
    )
    found = {e: np.array([r[3] for r in scores if r[0] == e]) for e in STUDY["estimators"]}
    return {**found, "effect": np.array([r[2] for r in effects])}


@pytest.mark.parametrize("repeat", [0, 1])
@pytest.mark.parametrize("training", ["full", "mini"])
def test_unrolling_predicts_retraining_from_the_same_start_in_the_same_order(
    training: str, repeat: int, store: Path
) -> None:
    """Far from any optimum; what is left is of second order in 1/n, a factor of about n/(n - 1)."""
    found = table(store, training, repeat)
    assert found["effect"].shape == found["unrolled"].shape == (4 * 64,)
    assert np.corrcoef(found["unrolled"], found["effect"])[0, 1] > 0.999
    slope = np.polyfit(found["unrolled"], found["effect"], 1)[0]
    assert slope == pytest.approx(1, abs=0.1)
    assert 0.5 < np.corrcoef(found["tracin"], found["effect"])[0, 1] < 0.999


def test_no_model_was_at_an_optimum(store: Path) -> None:
    ((norm,),) = rows(
        store, "SELECT min(grad_norm) FROM trainings WHERE role = 'base' AND steps > 5"
    )
    assert norm > 0.1


@pytest.mark.parametrize("training", ["full", "mini"])
def test_an_average_over_repeats_follows_each_repeat_s_own_training(
    training: str, store: Path
) -> None:
    first, second = table(store, training, 0), table(store, training, 1)
    mean = (first["unrolled"] + second["unrolled"]) / 2
    np.testing.assert_allclose(first["averaged"], mean, rtol=1e-9, atol=1e-14)
    np.testing.assert_allclose(second["averaged"], mean, rtol=1e-9, atol=1e-14)
    assert np.abs(first["unrolled"] - second["unrolled"]).max() > 0.01 * np.abs(mean).max()


def test_how_closely_training_was_repeated_stands_among_the_diagnostics(store: Path) -> None:
    found = rows(
        store,
        "SELECT training, estimator, max(value) FROM diagnostics "
        "JOIN tasks USING (cell_id, task_id) JOIN cells USING (cell_id) "
        "WHERE name = 'replay_distance' GROUP BY 1, 2 ORDER BY 1, 2",
    )
    assert [row[:2] for row in found] == [
        (training, estimator)
        for training in ("full", "mini")
        for estimator in ("averaged", "tracin", "unrolled")
    ]
    assert max(row[2] for row in found) < 1e-12


def test_a_training_that_cannot_be_followed_is_recorded_with_the_reason(store: Path) -> None:
    found = rows(
        store,
        "SELECT estimator, message FROM tasks JOIN cells USING (cell_id) "
        "WHERE training = 'quasi' AND status = 'failed' AND kind = 'estimate' AND repeat = 0 "
        "ORDER BY 1",
    )
    assert [row[0] for row in found] == ["averaged", "tracin", "unrolled"]
    for _, message in found:
        assert "follows first-order training without noise, step by step" in message
        assert "`sgd` or `adam`" in message
