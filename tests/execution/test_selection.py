"""Points that the model chooses, from a study to the tables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from fragility.errors import StudyError
from fragility.plan.catalog import Catalog
from fragility.store import Store
from tests.tiny import RIDGE, TINY, changed, load, plan, rows, run

STRATIFIED = {"kind": "stratified", "estimator": "exact", "quantiles": [0.4, 0.8], "count": 15}
SECOND = {"kind": "exact", "parameters": "last_layer", "damping": 0.5}
ARM = "procedure = 'warm' AND estimator = 'exact'"


def with_points(**procedure: Any) -> dict[str, Any]:
    return changed(TINY, {f"procedures.warm.{key}": value for key, value in procedure.items()})


def test_strata_give_an_estimate_for_the_population(tmp_path: Path) -> None:
    study = with_points(train_points=STRATIFIED)
    summary = run(changed(study, {"metrics": ["pearson", "kendall"]}), tmp_path)
    assert (summary.failed, summary.skipped) == (0, 0)
    points = dict(
        rows(tmp_path, "SELECT point, probability FROM points WHERE split = 'train' ORDER BY 1")
    )
    # 14 + 14 + 7 points; each of 15 drawn ones stands for as many as it was drawn from.
    assert sorted(points.values()) == pytest.approx([5 / 14] * 10 + [5 / 7] * 5)
    sql = f"""SELECT e.test_point, e.train_point, s.score, e.effect FROM effects e
        JOIN scores s USING (cell_id, test_point, train_point)
        WHERE removal = 'point' AND {ARM} ORDER BY ALL"""
    pairs = np.array(rows(tmp_path, sql))
    assert sorted(set(pairs[:, 1])) == sorted(points)
    found = rows(
        tmp_path, "SELECT metric, test_point, weighting, value, n, ceiling FROM agreements"
    )
    assert len(found) == 2 * 3 * 2
    for metric, test_point, weighting, value, n, _ in found:
        kept = pairs if test_point is None else pairs[pairs[:, 0] == test_point]
        assert n == len(kept)
        weights = np.array([1 / points[point] for point in kept[:, 1]])
        if metric == "pearson":
            by = weights if weighting == "population" else None
            covariance = np.cov(kept[:, 2], kept[:, 3], aweights=by)
            expected = covariance[0, 1] / np.sqrt(covariance[0, 0] * covariance[1, 1])
        else:
            # Probabilities 5/14 and 5/7: a point stands for 14 or for 7 of a fifth each.
            times = np.round(5 * weights).astype(int) if weighting == "population" else 1
            expected = stats.kendalltau(*np.repeat(kept[:, 2:], times, axis=0).T).statistic
        assert value == pytest.approx(expected, rel=1e-9)
    kinds = rows(tmp_path, "SELECT DISTINCT aggregation, weighting FROM summaries ORDER BY ALL")
    assert kinds == [(a, w) for a in ("mean", "median") for w in ("population", "raw")]


@pytest.mark.parametrize("points", [{"kind": "random", "count": 7}, {"kind": "all"}])
def test_equal_probabilities_are_told_and_weigh_nothing(
    points: dict[str, Any], tmp_path: Path
) -> None:
    run(with_points(train_points=points), tmp_path)
    told = rows(tmp_path, "SELECT DISTINCT probability FROM points WHERE split = 'train'")
    assert told == [(7 / 35 if "count" in points else 1.0,)]
    assert rows(tmp_path, "SELECT DISTINCT weighting FROM agreements") == [("raw",)]


def test_a_union_judges_estimators_by_each_others_points(tmp_path: Path) -> None:
    parts = [
        {"kind": "random", "count": 6},
        {"kind": "top_score", "estimator": "second", "count": 3},
        {"kind": "top_score", "estimator": "exact", "sign": "negative", "count": 2},
    ]
    study = changed(
        with_points(train_points={"kind": "union", "of": parts}), {"estimators.second": SECOND}
    )
    compiled = plan(study)
    scored = {i for i, task in compiled.tasks.items() if task.kind == "estimate"}
    for task in compiled.tasks.values():
        if task.kind == "retrain":
            assert scored <= set(task.inputs)
    summary = run(study, tmp_path)
    assert (summary.failed, summary.skipped) == (0, 0)
    found = rows(
        tmp_path,
        "SELECT role, point, value, probability FROM points WHERE split = 'train' ORDER BY value",
    )
    scores = {
        estimator: dict(
            rows(
                tmp_path,
                f"SELECT train_point, avg({value}) FROM scores WHERE estimator = '{estimator}'"
                " GROUP BY 1",
            )
        )
        for estimator, value in (("second", "abs(score)"), ("exact", "score"))
    }
    highest = sorted(scores["second"], key=lambda point: -scores["second"][point])[:3]
    lowest = sorted(scores["exact"], key=lambda point: scores["exact"][point])
    expected = {*highest, *[point for point in lowest if point not in highest][:2]}
    by_score = {point for role, point, _, _ in found if role == "top_score"}
    assert by_score == expected
    assert {probability for role, _, _, probability in found if role == "top_score"} == {1.0}
    drawn = [row for row in found if row[0] == "random"]
    assert len(drawn) == 6
    assert {row[2:] for row in drawn} == {(None, 6 / 30)}
    removed = rows(tmp_path, "SELECT DISTINCT train_point FROM effects WHERE removal = 'point'")
    assert {row[0] for row in removed} == expected | {row[1] for row in drawn}
    weighted = "SELECT DISTINCT estimator FROM agreements WHERE weighting = 'population'"
    assert len(rows(tmp_path, weighted)) == 2


def predictions(root: Path, study: dict[str, Any], task_id: str) -> tuple[np.ndarray, np.ndarray]:
    """Logits of the test set, rebuilt from the stored parameters, and the classes."""
    cell = plan(study).cells[0].cell
    test = Catalog(Path()).data(cell.dataset, cell.seed).test
    with Store.open(root, write=False) as store:
        model = store.read_model(task_id)
    hidden = np.tanh(test.inputs @ model["1.weight"].T + model["1.bias"])
    return hidden @ model["3.weight"].T + model["3.bias"], test.targets


def test_misclassified_test_points_are_those_of_another_class(tmp_path: Path) -> None:
    study = changed(
        with_points(test_points={"kind": "misclassified", "count": 30}),
        {"datasets.s.test_n": 30, "datasets.s.n": 60, "repeats": 2, "training.adam.steps": 1},
    )
    summary = run(study, tmp_path)
    assert (summary.failed, summary.skipped) == (0, 0)
    for repeat in range(2):
        ((task_id,),) = rows(
            tmp_path,
            "SELECT task_id FROM tasks JOIN cells USING (cell_id)"
            f" WHERE kind = 'train' AND repeat = {repeat}",
        )
        logits, classes = predictions(tmp_path, study, task_id)
        wrong = np.flatnonzero(logits.argmax(axis=1) != classes)
        assert 0 < len(wrong) < 30
        found = rows(
            tmp_path,
            "SELECT point FROM points JOIN cells USING (cell_id)"
            f" WHERE split = 'test' AND repeat = {repeat} ORDER BY 1",
        )
        assert [row[0] for row in found] == wrong.tolist()
    n_test = rows(tmp_path, "SELECT DISTINCT n_test FROM summaries ORDER BY 1")
    assert len(n_test) == 2


def test_a_model_that_gets_nothing_wrong_fails_alone(tmp_path: Path) -> None:
    study = changed(
        with_points(test_points={"kind": "misclassified"}, record_every=2),
        {
            "datasets.s.class_separation": 8.0,
            "datasets.s.test_n": 20,
            "sweep": {"training.adam.steps": [0, 300]},
        },
    )
    summary = run(study, tmp_path)
    assert summary.failed > 0
    assert {failure.message for failure in summary.failures} == {
        "`misclassified` finds no test point among 20. Choose `test_points` another way."
    }
    assert {failure.cell for failure in summary.failures} == {"steps=300"}
    sound = rows(
        tmp_path,
        "SELECT DISTINCT status FROM tasks JOIN cells USING (cell_id) WHERE arm = 'steps=0'",
    )
    assert sound == [("ok",)]


def test_training_points_that_are_not_there_fail_and_say_so(tmp_path: Path) -> None:
    points = {"kind": "misclassified", "count": 30}
    summary = run(with_points(train_points=points), tmp_path)
    messages = {failure.message for failure in summary.failures}
    assert len(messages) == 1
    assert "training points of the 30 that are asked for. Give a smaller" in messages.pop()


def test_numbers_have_no_classes() -> None:
    study = changed(RIDGE, {"procedures.warm.test_points": {"kind": "misclassified"}})
    with pytest.raises(StudyError, match=r"warm\.test_points.*needs classes.*Use `max_loss`"):
        plan(study)
    points = {"kind": "stratified", "by": "class", "count": 9}
    with pytest.raises(StudyError, match=r"warm\.train_points.*needs classes.*Use `by: loss`"):
        plan(changed(RIDGE, {"procedures.warm.train_points": points}))


def chosen(root: Path, split: str) -> list[list[int]]:
    """The points of each repeat."""
    found: dict[int, list[int]] = {}
    sql = f"""SELECT repeat, point FROM points JOIN cells USING (cell_id)
        WHERE split = '{split}' ORDER BY ALL"""
    for repeat, point in rows(root, sql):
        found.setdefault(repeat, []).append(point)
    return list(found.values())


@pytest.mark.parametrize(
    ("split", "selector"),
    [
        ("test", {"kind": "max_loss", "count": 2}),
        ("test", {"kind": "union", "of": [{"kind": "quantiles", "count": 3}, {"kind": "random"}]}),
        ("train", {"kind": "top_loss", "count": 4}),
        ("train", {"kind": "top_score", "estimator": "exact", "count": 4}),
        ("train", STRATIFIED),
    ],
    ids=lambda value: value if isinstance(value, str) else value["kind"],
)
def test_the_first_repeat_may_choose_for_all(
    split: str, selector: dict[str, Any], tmp_path: Path
) -> None:
    study = changed(
        with_points(**{f"{split}_points": selector}),
        {"repeats": 3, "datasets.s.test_n": 20, "training.adam.steps": 3},
    )
    fixed = changed(study, {f"procedures.warm.{split}_points.fix_across_repeats": True})
    summary = run(fixed, tmp_path / "fixed")
    assert (summary.failed, summary.skipped) == (0, 0)
    assert run(study, tmp_path / "free").failed == 0
    own, same = (chosen(tmp_path / root, split) for root in ("free", "fixed"))
    assert own[1:] != [own[0]] * 2
    assert same == [own[0]] * 3
    # The first repeat is the same study; the others wait for its model.
    first = {task.task_id for task in plan(study).placements if task.cell == 0}
    compiled = plan(fixed)
    assert {task.task_id for task in compiled.placements if task.cell == 0} == first
    chooser = compiled.cells[0].train_id
    for task in compiled.placements:
        about = {"test": ("estimate", "measure"), "train": ("retrain",)}[split]
        if task.cell > 0 and task.kind in about and (split == "train" or task.estimator is None):
            assert chooser in task.inputs


def test_an_ensemble_is_not_enlarged_by_the_model_that_chooses(tmp_path: Path) -> None:
    study = changed(
        with_points(test_points={"kind": "max_loss", "count": 2}),
        {"repeats": 3, "estimators": {"mean": {"kind": "grad_dot", "ensemble": 2}}},
    )
    fixed = changed(study, {"procedures.warm.test_points.fix_across_repeats": True})
    indices = {"kind": "indices", "indices": [0, 1, 2, 3, 4]}
    whole = changed(study, {"procedures.warm.test_points": indices})
    for name, one in (("fixed", fixed), ("whole", whole)):
        assert run(one, tmp_path / name).failed == 0
    sql = "SELECT repeat, test_point, train_point, score FROM scores JOIN cells USING (cell_id)"
    every = {row[:3]: row[3] for row in rows(tmp_path / "whole", sql)}
    found = rows(tmp_path / "fixed", sql)
    assert len(found) == 3 * 2 * 35
    for *place, score in found:
        assert score == pytest.approx(every[tuple(place)], rel=1e-9)


def test_labels_of_estimators_are_looked_for_in_every_part() -> None:
    parts = [{"kind": "random"}, {"kind": "band", "estimator": "exct"}]
    with pytest.raises(StudyError, match=r"of\.1\.estimator: .*Did you mean `exact`"):
        load(with_points(train_points={"kind": "union", "of": parts}))
    groups = {"kind": "top_score", "sizes": [4], "estimator": "exct"}
    procedure = {
        "kind": "leave_group_out",
        "groups": groups,
        "test_points": {"kind": "all"},
    }
    with pytest.raises(StudyError, match=r"groups\.estimator: .*Did you mean `exact`"):
        load(changed(TINY, {"procedures": {"groups": procedure}}))


def test_scores_choose_no_test_points() -> None:
    parts = [{"kind": "random"}, {"kind": "top_score", "estimator": "exact"}]
    with pytest.raises(StudyError, match="`union` chooses training points, not test points"):
        load(with_points(test_points={"kind": "union", "of": parts}))
