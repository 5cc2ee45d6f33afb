"""Examples worth seeing are kept while a study runs: which, and what is said of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fragility.datasets.synthetic import Synthetic
from fragility.errors import DataError
from fragility.execution import examples
from fragility.execution.examples import extremes
from fragility.plan.catalog import Catalog
from fragility.report import render
from fragility.study.cells import cells
from tests.tiny import RIDGE, TINY, changed, load, rows, run

STUDY = changed(TINY, {"repeats": 2, "procedures.warm.test_points": {"kind": "all"}})


def ranked(root: Path, cell: str) -> set[int]:
    """The training points of the highest and lowest scores for each test point, by SQL."""
    found = rows(
        root,
        f"""SELECT train_point FROM scores WHERE cell_id = '{cell}'
        QUALIFY row_number() OVER (
            PARTITION BY estimator, test_point ORDER BY score DESC, train_point) <= 8
          OR row_number() OVER (
            PARTITION BY estimator, test_point ORDER BY score, train_point) <= 8""",
    )
    return {point for (point,) in found}


def test_named_examples_are_kept_for_the_first_repeat(tmp_path: Path) -> None:
    summary = run(STUDY, tmp_path)
    assert summary.failed == 0
    (first,), (second,) = rows(tmp_path, "SELECT cell_id FROM cells ORDER BY repeat")
    kept = rows(tmp_path, "SELECT cell_id, split, point FROM examples")
    assert {cell for cell, _, _ in kept} == {first}
    assert {point for _, split, point in kept if split == "test"} == set(range(5))
    removed = rows(
        tmp_path,
        f"SELECT DISTINCT train_point FROM effects WHERE cell_id = '{first}' AND removal = 'point'",
    )
    trained = {point for _, split, point in kept if split == "train"}
    assert trained == ranked(tmp_path, first) | {point for (point,) in removed}
    assert len(trained) < 35
    assert second != first


def test_examples_say_what_the_dataset_says(tmp_path: Path) -> None:
    run(STUDY, tmp_path)
    data = cells(load(STUDY))[0].dataset.load(0, tmp_path)
    for split, examples_of in (("train", data.train), ("test", data.test)):
        found = rows(
            tmp_path,
            "SELECT point, source_row, label, target, features, picture, file FROM examples"
            f" WHERE split = '{split}'",
        )
        assert found
        for point, row, label, target, features, picture, file in found:
            assert (row, target) == (examples_of.rows[point], examples_of.targets[point])
            assert label == data.classes[target]
            assert list(json.loads(features).values()) == examples_of.inputs[point].tolist()
            assert picture is None
            assert file is None
    (right,) = rows(tmp_path, "SELECT avg((label = prediction)::INT) FROM examples")[0]
    (accuracy,) = rows(
        tmp_path,
        "SELECT test_accuracy FROM trainings JOIN cells USING (cell_id)"
        " WHERE role = 'base' AND repeat = 0",
    )[0]
    assert right == pytest.approx(accuracy)


def test_numbers_to_predict_are_their_labels(tmp_path: Path) -> None:
    run(RIDGE, tmp_path)
    data = cells(load(RIDGE))[0].dataset.load(0, tmp_path)
    found = rows(
        tmp_path,
        "SELECT e.point, e.label, e.prediction, e.target, p.loss"
        " FROM examples e JOIN points p USING (cell_id, split, point) WHERE split = 'test'",
    )
    assert len(found) == 6
    for point, label, prediction, target, loss in found:
        assert float(label) == pytest.approx(data.test.targets[point, 0], rel=1e-5)
        assert (float(label) - float(prediction)) ** 2 == pytest.approx(loss, rel=1e-3, abs=1e-7)
        assert target is None


def test_many_test_points_are_thinned_and_many_removals_ranked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(examples, "MOST_TESTS", 3)
    monkeypatch.setattr(examples, "MOST_REMOVED", 20)
    monkeypatch.setattr(examples, "TOP", 1)
    run(changed(STUDY, {"procedures.warm.train_points": {"kind": "all"}}), tmp_path)
    kept = rows(tmp_path, "SELECT point FROM examples WHERE split = 'test' ORDER BY point")
    losses = rows(
        tmp_path,
        "SELECT DISTINCT point, loss FROM points JOIN cells USING (cell_id)"
        " WHERE split = 'test' AND repeat = 0 ORDER BY loss",
    )
    assert {point for (point,) in kept} == {losses[place][0] for place in (0, 2, 4)}
    trained = rows(tmp_path, "SELECT count(*) FROM examples WHERE split = 'train'")[0][0]
    assert 2 <= trained <= 4 * 3


def test_a_source_that_went_away_fails_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = changed(STUDY, {"datasets.s.standardize": "train"})
    read, reads = Synthetic.read, 0

    def once(self: Synthetic, seed: int, directory: Path) -> Any:
        nonlocal reads
        reads += 1
        if reads > 1:
            raise DataError("The file is gone.", "Bring it back.")
        return read(self, seed, directory)

    monkeypatch.setattr(Synthetic, "read", once)
    assert run(study, tmp_path).failed == 0
    kept = rows(tmp_path, "SELECT DISTINCT features, label IS NULL FROM examples")
    assert kept == [(None, False)]


def test_groups_and_self_influence_name_no_more_than_scores_do(tmp_path: Path) -> None:
    groups = {
        "kind": "leave_group_out",
        "steps": 5,
        "groups": {"kind": "random", "count": 3, "sizes": [4]},
        "test_points": {"kind": "all"},
    }
    noise = {"kind": "noisy_labels", "by": "self_influence"}
    study = changed(
        STUDY, {"datasets.s.label_noise": 0.1, "procedures": {"groups": groups, "noise": noise}}
    )
    summary = run(study, tmp_path)
    assert summary.failed == 0
    cell = rows(tmp_path, "SELECT cell_id FROM cells WHERE repeat = 0")[0][0]
    kept = rows(tmp_path, "SELECT point FROM examples WHERE split = 'train'")
    found = rows(
        tmp_path,
        f"""SELECT train_point FROM scores
        WHERE cell_id = '{cell}' AND test_point IS NOT NULL AND train_point IS NOT NULL
        QUALIFY row_number() OVER (PARTITION BY test_point ORDER BY score DESC) <= 8
          OR row_number() OVER (PARTITION BY test_point ORDER BY score) <= 8""",
    )
    assert {point for (point,) in kept} == {point for (point,) in found}
    page = render(tmp_path, summary.run_id, tmp_path / "page.html").read_text(encoding="utf-8")
    assert page.count('<table class="examples">') == 5
    assert "not retrained" not in page


def test_extremes_are_the_first_of_equals_and_finite() -> None:
    values = np.zeros((1, 40))
    values[0, 20], values[0, 21], values[0, 22] = np.nan, 5.0, -np.inf
    assert extremes(values).tolist() == [*range(8), 21]


def test_each_picture_is_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    catalog = Catalog(Path())
    dataset = cells(load(changed(TINY, {"datasets.s.standardize": "all"})))[0].dataset
    first = catalog.appearances(dataset, 0, "train", np.array([3, 1, 3]))
    monkeypatch.setattr(Synthetic, "read", None)
    again = catalog.appearances(dataset, 0, "train", np.array([1, 3]))
    assert again == [first[1], first[0]]
    assert first[0] == first[2]
