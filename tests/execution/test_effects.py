"""What procedures measure, read back by SQL, against closed forms and against itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.datasets import load_diabetes

from fragility.store import Store
from tests.tiny import RIDGE, TINY, changed, rows, run

STRENGTH = 0.1
Array = NDArray[np.float64]


def design(root: Path) -> tuple[Array, Array, Array, Array]:
    """The examples that a run on `diabetes` used, rebuilt from scikit-learn and the table points.

    Returns inputs and targets of the training and of the test set.
    """
    data = load_diabetes()
    found = {}
    for split in ("train", "test"):
        source = rows(root, f"SELECT point, source_row FROM points WHERE split = '{split}'")
        positions, source_rows = zip(*sorted(source), strict=True)
        assert list(positions) == list(range(len(positions)))
        found[split] = np.array(source_rows)
    assert set(found["train"]).isdisjoint(found["test"])

    def standardized(values: Array) -> tuple[Array, Array]:
        train = values[found["train"]]
        centre, scale = train.mean(axis=0), train.std(axis=0)
        return (train - centre) / scale, (values[found["test"]] - centre) / scale

    (X, A), (y, b) = standardized(data.data), standardized(data.target)
    return X, y, A, b


def with_ones(X: Array) -> Array:
    return np.hstack([X, np.ones((len(X), 1))])


def ridge_losses_without_each(X: Array, y: Array, A: Array, b: Array) -> tuple[Array, Array]:
    """Test losses (T,) of least squares with a penalty, and (n, T) without each row of X.

    The mean stays over n. The removal is Sherman and Morrison's, by leverage.
    """
    inverse = np.linalg.inv(X.T @ X + len(X) * STRENGTH / 2 * np.eye(X.shape[1]))
    beta = inverse @ X.T @ y
    leverage = np.einsum("ij,jk,ik->i", X, inverse, X)
    removed = beta[:, None] - (inverse @ X.T) * ((y - X @ beta) / (1 - leverage))
    return (b - A @ beta) ** 2, ((b[:, None] - A @ removed) ** 2).T


@pytest.fixture(scope="module")
def ridge(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("ridge")
    summary = run(RIDGE, root)
    assert (summary.failed, summary.skipped) == (0, 0)
    return root


def effects(root: Path, procedure: str = "warm") -> Array:
    """Effects (train points, test points) of the points removed, in the order of their numbers."""
    found = rows(
        root,
        "SELECT train_point, test_point, before, after, effect FROM effects"
        f" WHERE removal = 'point' AND procedure = '{procedure}' ORDER BY train_point, test_point",
    )
    n_test = len({row[1] for row in found})
    table = np.array([row[2:] for row in found], dtype=float)
    np.testing.assert_array_equal(table[:, 2], table[:, 1] - table[:, 0])
    return table[:, 2].reshape(-1, n_test)


def test_leave_one_out_of_ridge_equals_the_hat_matrix(ridge: Path) -> None:
    X, y, A, b = design(ridge)
    before, after = ridge_losses_without_each(with_ones(X), y, with_ones(A), b)
    assert after.shape == (40, 6)
    np.testing.assert_allclose(effects(ridge), after - before, rtol=1e-6)
    stored = rows(ridge, "SELECT DISTINCT test_point, before FROM effects ORDER BY ALL")
    np.testing.assert_allclose([loss for _, loss in stored], before, rtol=1e-9)


def test_scores_of_ridge_equal_the_analytic_formula(ridge: Path) -> None:
    X, y, A, b = design(ridge)
    X, A, n = with_ones(X), with_ones(A), len(X)
    H = 2 * X.T @ X / n + STRENGTH * np.eye(X.shape[1])
    beta = np.linalg.solve(H, 2 * X.T @ y / n)
    train = 2 * (X @ beta - y)[:, None] * X
    test = 2 * (A @ beta - b)[:, None] * A
    found = rows(ridge, "SELECT score FROM scores ORDER BY test_point, train_point")
    expected = test @ np.linalg.solve(H, train.T) / n
    np.testing.assert_allclose(
        np.ravel(found), expected.ravel(), rtol=1e-6, atol=1e-9 * np.abs(expected).max()
    )


def test_agreement_on_ridge_is_high_and_says_its_n(ridge: Path) -> None:
    found = rows(ridge, "SELECT test_point, metric, value, n, reason FROM agreements")
    assert {row[3] for row in found if row[0] is not None} == {40}
    assert {row[3] for row in found if row[0] is None} == {40 * 6}
    assert {row[4] for row in found} == {None}
    # What is missing to 1 is leverage.
    assert min(row[2] for row in found if row[1] == "pearson") > 0.95
    truth, scores = effects(ridge), rows(ridge, "SELECT * FROM scores ORDER BY ALL")
    table = np.array([row[-1] for row in scores]).reshape(6, 40)
    for point, metric, value, _, _ in found:
        if metric == "pearson" and point is not None:
            expected = np.corrcoef(table[point], truth[:, point])[0, 1]
            assert value == pytest.approx(expected, rel=1e-9)


def test_the_placebo_of_a_converged_model_hardly_moves(ridge: Path) -> None:
    found = rows(ridge, "SELECT effect FROM effects WHERE removal = 'placebo'")
    assert len(found) == 6
    assert np.abs(found).max() < 1e-10


def test_chosen_points_are_listed_with_why_they_were_chosen(tmp_path: Path) -> None:
    run(TINY, tmp_path)
    found = rows(tmp_path, "SELECT split, point, role, value FROM points ORDER BY ALL")
    train = [row for row in found if row[0] == "train"]
    test = [row for row in found if row[0] == "test"]
    assert [row[2] for row in train] == ["top_loss"] * 4
    assert [row[2:] for row in test] == [("random", None)] * 2
    with Store.open(tmp_path, write=False) as store:
        ((base,),) = rows(tmp_path, "SELECT task_id FROM tasks WHERE kind = 'train'")
        losses = store.arrays(base, "train_loss")["train_loss"]
    highest = np.argsort(-losses)[:4]
    assert {row[1]: row[3] for row in train} == {int(i): losses[i] for i in highest}
    measured = rows(tmp_path, "SELECT DISTINCT train_point FROM effects WHERE removal = 'point'")
    assert {row[0] for row in measured} == {int(i) for i in highest}


def test_top_score_removes_the_points_with_the_largest_scores(tmp_path: Path) -> None:
    points = {"kind": "top_score", "estimator": "exact", "count": 3}
    run(changed(TINY, {"procedures.warm.train_points": points}), tmp_path)
    largest = rows(
        tmp_path,
        "SELECT train_point, avg(abs(score)) AS size FROM scores GROUP BY 1 ORDER BY 2 DESC"
        " LIMIT 3",
    )
    chosen = rows(
        tmp_path,
        "SELECT point, value FROM points WHERE split = 'train' ORDER BY value DESC",
    )
    assert [row[0] for row in chosen] == [row[0] for row in largest]
    np.testing.assert_allclose([row[1] for row in chosen], [row[1] for row in largest])


SIZES: dict[str, dict[str, Any]] = {
    "tiny": {},
    "float32": {"training.adam.dtype": "float32"},
    "odd sizes": {"models.net.hidden": [7, 5], "datasets.s.n_features": 13, "datasets.s.n": 77},
    "wide": {"models.net.hidden": [8], "datasets.s.n_features": 30, "datasets.s.n_classes": 3},
    "linear": {"models": {"linear": {"kind": "linear"}}, "datasets.s.n_features": 7},
}


@pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES.keys())
def test_retraining_of_no_steps_has_an_effect_of_exactly_zero(
    sizes: dict[str, Any], tmp_path: Path
) -> None:
    run(changed(TINY, {**sizes, "procedures.warm.steps": 0, "repeats": 3}), tmp_path)
    found = rows(tmp_path, "SELECT removal, effect FROM effects")
    assert len(found) == 3 * 5 * 2
    assert {row[0] for row in found} == {"placebo", "point"}
    assert {row[1] for row in found} == {0.0}
    reasons = rows(
        tmp_path,
        "SELECT DISTINCT value, reason FROM agreements"
        " WHERE metric = 'pearson' AND test_point IS NOT NULL",
    )
    assert {row[0] for row in reasons} == {None}
    assert all("effects are equal" in row[1] for row in reasons)


def test_replicate_0_of_a_cold_start_begins_where_the_base_model_began(tmp_path: Path) -> None:
    """Neither the base model nor the retrainings take a step: what is measured is the start."""
    cold = {
        "kind": "leave_one_out",
        "start": "cold",
        "steps": 0,
        "replicates": 3,
        "train_points": {"kind": "indices", "indices": [3, 1]},
        "test_points": {"kind": "all"},
    }
    study = changed(TINY, {"training.adam.steps": 0, "procedures": {"cold": cold}, "repeats": 2})
    run(study, tmp_path)
    by_replicate = {
        replicate: rows(
            tmp_path,
            f"SELECT effect FROM effects WHERE replicate = {replicate} ORDER BY ALL",
        )
        for replicate in range(3)
    }
    assert set(by_replicate[0]) == {(0.0,)}
    assert len(by_replicate[0]) == 2 * 3 * 5
    assert (0.0,) not in by_replicate[1] + by_replicate[2]
    assert by_replicate[1] != by_replicate[2]
    # Nothing was trained, so that what was removed makes no difference.
    spread = rows(
        tmp_path,
        "SELECT DISTINCT count(DISTINCT after) FROM effects"
        " GROUP BY cell_id, replicate, test_point",
    )
    assert spread == [(1,)]


def test_cold_replicate_0_without_removal_retraces_the_base_training(tmp_path: Path) -> None:
    cold = {**TINY["procedures"]["warm"], "start": "cold", "steps": 20, "replicates": 2}
    run(changed(TINY, {"procedures": {"cold": cold}}), tmp_path)
    base, *others = rows(
        tmp_path,
        "SELECT initial_train_loss, train_loss, test_loss FROM trainings"
        " WHERE role IN ('base', 'placebo') ORDER BY role, replicate",
    )
    np.testing.assert_allclose(others[0], base, rtol=1e-12)
    assert abs(others[1][0] - base[0]) > 1e-3


def test_last_layer_retraining_finds_the_optimum_with_the_rest_frozen(tmp_path: Path) -> None:
    """The features stay those of the base model: ridge regression on them has the closed form."""
    last = {
        **RIDGE["procedures"]["warm"],
        "parameters": "last_layer",
        "steps": 2000,
        "gradient_norm": 1e-12,
    }
    training = {k: v for k, v in RIDGE["training"]["lbfgs"].items() if k != "gradient_norm"}
    study = changed(
        RIDGE,
        {
            "models": {"net": {"kind": "mlp", "hidden": [4], "activation": "tanh"}},
            "training.lbfgs": {**training, "steps": 6},
            "procedures": {"last": last},
            "estimators": {},
        },
    )
    run(study, tmp_path)
    X, y, A, b = design(tmp_path)
    ((base,),) = rows(tmp_path, "SELECT task_id FROM tasks WHERE kind = 'train'")
    with Store.open(tmp_path, write=False) as store:
        model = store.read_model(base)
    features, test_features = (
        with_ones(np.tanh(Z @ model["1.weight"].T + model["1.bias"])) for Z in (X, A)
    )
    at_optimum, after = ridge_losses_without_each(features, y, test_features, b)
    stored = rows(
        tmp_path,
        "SELECT removal, train_point, test_point, after FROM effects ORDER BY ALL",
    )
    placebo = [row[3] for row in stored if row[0] == "placebo"]
    points = [row[3] for row in stored if row[0] == "point"]
    np.testing.assert_allclose(placebo, at_optimum, rtol=1e-8)
    np.testing.assert_allclose(points, after.ravel(), rtol=1e-8)
    moved = rows(tmp_path, "SELECT min(distance) FROM trainings WHERE role = 'placebo'")
    assert moved[0][0] > 0.01


@pytest.mark.parametrize("start", ["warm", "cold"])
def test_trajectories_lead_from_before_to_after(start: str, tmp_path: Path) -> None:
    watched = {**TINY["procedures"]["warm"], "start": start, "steps": 6, "record_every": 2}
    run(changed(TINY, {"procedures": {"watched": watched}}), tmp_path)
    steps = rows(tmp_path, "SELECT step, count(*) FROM trajectories GROUP BY 1 ORDER BY 1")
    assert steps == [(step, 5 * 2) for step in (0, 2, 4, 6)]
    ends = rows(
        tmp_path,
        """SELECT t.step, t.value, e.before, e.after, t.train_loss, m.initial_train_loss,
            m.train_loss
        FROM trajectories t JOIN trainings m USING (task_id)
        JOIN effects e ON e.test_point = t.test_point
            AND e.train_point IS NOT DISTINCT FROM t.removed::INT
        WHERE t.step IN (0, 6)""",
    )
    assert len(ends) == 2 * 5 * 2
    for step, value, before, after, train_loss, first_loss, last_loss in ends:
        assert train_loss == pytest.approx(last_loss if step else first_loss, rel=1e-12)
        if step == 6:
            assert value == pytest.approx(after, rel=1e-12)
        elif start == "warm":
            assert value == pytest.approx(before, rel=1e-12)


def test_watching_does_not_change_what_is_watched(tmp_path: Path) -> None:
    study = changed(
        TINY,
        {"procedures.watched": {**TINY["procedures"]["warm"], "record_every": 1}},
    )
    run(study, tmp_path)
    sql = "SELECT removal, test_point, train_point, effect FROM effects WHERE procedure = '{}'"
    watched, unwatched = (
        sorted(map(repr, rows(tmp_path, sql.format(name)))) for name in ("watched", "warm")
    )
    assert watched == unwatched


@pytest.mark.parametrize("start", ["warm", "cold"])
def test_a_fused_retraining_equals_one_alone_over_200_steps(start: str, tmp_path: Path) -> None:
    def procedure(*indices: int) -> dict[str, Any]:
        return {
            "kind": "leave_one_out",
            "start": start,
            "steps": 200,
            "train_points": {"kind": "indices", "indices": indices},
            "test_points": {"kind": "all"},
        }

    study = changed(
        TINY,
        {"procedures": {"loo": procedure(*range(12))}, "repeats": 3, "regularization.more": MORE},
    )
    run(study, tmp_path / "all")
    run(
        changed(study, {"procedures": {"loo": procedure(5)}, "repeats": 1}),
        tmp_path / "one",
    )
    sql = """SELECT regularization, removal, test_point, effect FROM effects
        JOIN cells USING (cell_id)
        WHERE repeat = 0 AND coalesce(train_point, 5) = 5 ORDER BY ALL"""
    fused, alone = rows(tmp_path / "all", sql), rows(tmp_path / "one", sql)
    assert len(fused) == 2 * 2 * 5
    assert [row[:3] for row in fused] == [row[:3] for row in alone]
    assert rows(tmp_path / "all", "SELECT count(DISTINCT batch_id) FROM tasks GROUP BY kind") != []
    np.testing.assert_allclose([row[3] for row in fused], [row[3] for row in alone], atol=1e-9)


MORE = {"kind": "weight_decay", "strength": 0.3}


def test_diverged_retrainings_are_shown_and_do_not_count(tmp_path: Path) -> None:
    """A base model of no steps is sound; every retraining at its absurd rate is not."""
    hasty = {
        "kind": "full_batch",
        "optimizer": {"kind": "sgd", "learning_rate": 1e200},
        "steps": 0,
        "dtype": "float64",
    }
    summary = run(
        changed(TINY, {"training": {"hasty": hasty}, "procedures.warm.steps": 30}), tmp_path
    )
    assert summary.failed == 0
    found = rows(tmp_path, "SELECT role, diverged, count(*) FROM trainings GROUP BY ALL")
    assert set(found) == {("base", False, 1), ("placebo", True, 1), ("retraining", True, 4)}
    agreements = rows(tmp_path, "SELECT DISTINCT value, n, reason IS NULL FROM agreements")
    assert agreements == [(None, 0, False)]
    ((finite,),) = rows(tmp_path, "SELECT count(*) FROM effects WHERE isfinite(effect)")
    assert finite == 0


def test_replicates_give_agreement_a_ceiling(tmp_path: Path) -> None:
    cold = {**TINY["procedures"]["warm"], "start": "cold", "steps": 20, "replicates": 3}
    run(changed(TINY, {"procedures": {"cold": cold}, "metrics": ["pearson"]}), tmp_path)
    found = rows(tmp_path, "SELECT n, ceiling FROM agreements WHERE test_point IS NOT NULL")
    assert [row[0] for row in found] == [4, 4]
    assert all(0 <= row[1] <= 1 for row in found)
    replicates = rows(tmp_path, "SELECT replicate, count(*) FROM effects GROUP BY 1 ORDER BY 1")
    assert replicates == [(r, 2 * 5) for r in range(3)]


def test_arms_carry_the_badge_of_a_mismatch(tmp_path: Path) -> None:
    study = changed(
        TINY,
        {"estimators.last": {"kind": "exact", "parameters": "last_layer_weight", "damping": 0.1}},
    )
    run(study, tmp_path, select=("kind:train",))
    found = rows(
        tmp_path,
        "SELECT estimator, score_parameters, truth_parameters, mismatch FROM arms ORDER BY ALL",
    )
    badge = "target mismatch: score last_layer_weight, truth all"
    assert found == [("exact", "all", "all", None), ("last", "last_layer_weight", "all", badge)]
