"""Effects of a changed weight, from a study to the tables, against ridge regression."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fragility.errors import StudyError
from tests.execution.test_effects import STRENGTH, with_ones
from tests.execution.test_group_removal import design
from tests.tiny import RIDGE, changed, load, rows, run

ALL = {"kind": "all"}


def _upweight(weight: float, **more: object) -> dict[str, object]:
    return {
        "kind": "upweight",
        "weight": weight,
        "train_points": ALL,
        "test_points": ALL,
        **more,
    }


STUDY = changed(
    RIDGE,
    {
        "procedures.none": _upweight(0),
        "procedures.half": _upweight(0.5),
        "procedures.twice": _upweight(2),
        "procedures.dropped": _upweight(0.5, removal="drop"),
        "procedures.wide": _upweight(0, against="opposite"),
        "procedures.narrow": _upweight(0.5, against="opposite"),
        "procedures.error": _upweight(0.5, measurable="absolute_error"),
    },
)


@pytest.fixture(scope="module")
def ridge(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("upweight")
    summary = run(STUDY, root)
    assert (summary.failed, summary.skipped) == (0, 0)
    return root


def _errors(weight: float, *, drop: bool = False) -> np.ndarray:
    """Errors (n, T) on the test set with each training example at a weight."""
    X, y, A, b = design()
    X, A, n = with_ones(X), with_ones(A), len(X)
    found = []
    for i in range(n):
        w = np.ones(n)
        w[i] = weight
        w /= w.sum() if drop else n
        H = 2 * X.T @ (w[:, None] * X) + STRENGTH * np.eye(X.shape[1])
        found.append(A @ np.linalg.solve(H, 2 * X.T @ (w * y)) - b)
    return np.array(found)


def _table(root: Path, procedure: str, column: str) -> np.ndarray:
    found = rows(
        root,
        f"SELECT {column} FROM effects WHERE removal = 'point' AND procedure = '{procedure}'"
        " ORDER BY train_point, test_point",
    )
    return np.array(found, dtype=float).reshape(len(design()[0]), -1)


def _left_over(root: Path, procedure: str) -> float:
    """How much of the effects, per unit of weight, the scores leave unexplained."""
    found = rows(
        root,
        "SELECT effect / score_scale, score FROM effects JOIN scores"
        " USING (cell_id, test_point, train_point)"
        f" WHERE removal = 'point' AND procedure = '{procedure}' ORDER BY train_point, test_point",
    )
    effect, score = np.array(found, dtype=float).T
    return float(np.linalg.norm(effect - score))


@pytest.mark.parametrize(
    ("procedure", "weight", "drop"),
    [("none", 0, False), ("half", 0.5, False), ("twice", 2, False), ("dropped", 0.5, True)],
)
def test_effects_are_those_of_weighted_ridge_regression(
    ridge: Path, procedure: str, weight: float, drop: bool
) -> None:
    expected = np.square(_errors(weight, drop=drop)) - np.square(_errors(1))
    found = _table(ridge, procedure, "effect")
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-10)
    scale = _table(ridge, procedure, "score_scale")
    np.testing.assert_array_equal(scale, np.full_like(scale, 1 - weight))


def test_weight_zero_is_a_removal(ridge: Path) -> None:
    np.testing.assert_array_equal(_table(ridge, "none", "after"), _table(ridge, "warm", "after"))


@pytest.mark.parametrize(("procedure", "weight"), [("wide", 0), ("narrow", 0.5)])
def test_symmetric_difference_goes_from_one_weight_to_its_opposite(
    ridge: Path, procedure: str, weight: float
) -> None:
    expected = np.square(_errors(weight)) - np.square(_errors(2 - weight))
    found = _table(ridge, procedure, "effect")
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-10)
    scale = _table(ridge, procedure, "score_scale")
    np.testing.assert_array_equal(scale, np.full_like(scale, 2 * (1 - weight)))


def test_what_linearization_leaves_shrinks_with_the_dose(ridge: Path) -> None:
    # Per unit of weight the error is of first order in the dose, of second order where the two
    # directions cancel it; terms of higher order make the full dose worse still.
    assert _left_over(ridge, "half") < 0.5 * _left_over(ridge, "none")
    assert _left_over(ridge, "narrow") < 0.25 * _left_over(ridge, "wide")
    assert _left_over(ridge, "narrow") < _left_over(ridge, "half")


def test_a_score_predicts_another_measurable_by_its_derivative(ridge: Path) -> None:
    before, after = np.abs(_errors(1)), np.abs(_errors(0.5))
    np.testing.assert_allclose(
        _table(ridge, "error", "effect"), after - before, rtol=1e-6, atol=1e-10
    )
    np.testing.assert_allclose(_table(ridge, "error", "score_scale"), 0.5 / (2 * before))
    slopes = rows(
        ridge,
        "SELECT value FROM agreements WHERE procedure = 'error' AND metric = 'slope'"
        " AND test_point IS NOT NULL",
    )
    assert len(slopes) == before.shape[1]
    np.testing.assert_allclose(np.ravel(slopes), 1, atol=0.2)


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [("weight", 1, "changes nothing"), ("measurable", "margin", "is for classification")],
)
def test_what_makes_no_sense_is_refused(
    tmp_path: Path, field: str, value: object, words: str
) -> None:
    with pytest.raises(StudyError, match=words):
        run(changed(STUDY, {f"procedures.half.{field}": value}), tmp_path)


def test_opposite_of_more_than_twice_is_refused() -> None:
    with pytest.raises(StudyError, match="at most 2"):
        load(changed(STUDY, {"procedures.wide.weight": 3}))
