"""Groups of the highest values of several rules, from a study to the tables, against numpy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fragility.errors import StudyError
from tests.execution.test_effects import with_ones
from tests.execution.test_group_removal import design, optimum
from tests.tiny import RIDGE, changed, load, plan, rows, run

STUDY = changed(
    RIDGE,
    {
        "procedures": {
            "tails": {
                "kind": "remove_top",
                "estimators": ["exact", "dot"],
                "sizes": [0.05, 6],
                "draws": 3,
                "test_points": {"kind": "all"},
            }
        },
        "estimators.dot": {"kind": "grad_dot"},
    },
)


@pytest.fixture(scope="module")
def ridge(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("tails")
    summary = run(STUDY, root)
    assert (summary.failed, summary.skipped) == (0, 0)
    return root


def _groups(root: Path, rule: str) -> dict[int, list[int]]:
    """The members of each size, of a rule that makes one group of each."""
    groups: dict[int, list[int]] = {}
    sql = f"SELECT group_id, train_point FROM groups WHERE rule = '{rule}' ORDER BY ALL"
    for group, point in rows(root, sql):
        groups.setdefault(group, []).append(point)
    return {len(points): points for points in groups.values()}


def _highest(values: np.ndarray) -> dict[int, list[int]]:
    order = np.argsort(-values)
    return {size: sorted(order[:size].tolist()) for size in (2, 6)}


def test_groups_are_those_of_the_highest_mean_score(ridge: Path) -> None:
    for label in ("exact", "dot"):
        sql = (
            f"SELECT avg(score) FROM scores WHERE estimator = '{label}' AND train_point IS NOT"
            " NULL GROUP BY train_point ORDER BY train_point"
        )
        assert _groups(ridge, label) == _highest(np.ravel(rows(ridge, sql)))


def test_rivals_ask_no_estimator(ridge: Path) -> None:
    X, y, _, _ = design()
    X = with_ones(X)
    residual = X @ optimum(X, y, len(X)) - y
    assert _groups(ridge, "top_loss") == _highest(residual**2)
    lengths = 2 * np.abs(residual) * np.linalg.norm(X, axis=1)
    assert _groups(ridge, "gradient_norm") == _highest(lengths)
    drawn = rows(
        ridge,
        "SELECT count(*) FROM groups WHERE rule = 'random' GROUP BY group_id ORDER BY ALL",
    )
    assert np.ravel(drawn).tolist() == [2, 2, 2, 6, 6, 6]


def test_the_helpful_raise_the_loss_more_than_the_random(ridge: Path) -> None:
    sql = """SELECT avg(e.effect) FROM effects e JOIN
        (SELECT DISTINCT group_id, rule FROM groups) USING (group_id)
        WHERE rule = '{}'"""
    (helpful,), (drawn,) = (rows(ridge, sql.format(rule))[0] for rule in ("exact", "random"))
    assert helpful > 0
    assert helpful > 2 * drawn


def test_the_other_tail_is_the_harmful() -> None:
    other = changed(STUDY, {"procedures.tails.tail": "negative"})
    ids = [
        {t.task_id for t in plan(study).placements if t.kind == "retrain" and t.slot is not None}
        for study in (STUDY, other)
    ]
    # Two estimators and two sizes ask for other groups; six random and four rivals stay.
    assert len(ids[0] - ids[1]) == 4
    assert len(ids[0] & ids[1]) == 10


def test_an_estimator_must_not_be_called_as_a_rival() -> None:
    study = changed(STUDY, {"estimators.random": {"kind": "random"}})
    with pytest.raises(StudyError, match="names a rule of `against`"):
        load(changed(study, {"procedures.tails.estimators": ["random"]}))
