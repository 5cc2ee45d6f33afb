"""Tails, doses and planted labels in the report, against the rows of real runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fragility.report.context import Context
from fragility.report.page import page
from fragility.report.sections import interventions
from fragility.report.source import Source
from fragility.store import queries
from tests.execution.test_noisy_labels import STUDY as NOISY
from tests.execution.test_remove_top import STUDY as TAILS
from tests.execution.test_upweight import _upweight
from tests.tiny import RIDGE, changed, rows, run

BOTH = changed(
    TAILS,
    {
        "repeats": 2,
        "procedures.half": _upweight(0.5),
        "procedures.wide": _upweight(0, against="opposite"),
    },
)


def section(root: Path) -> dict:
    with queries.connect(root) as connection:
        ((run_id,),) = connection.execute("SELECT run_id FROM runs").fetchall()
        source = Source(connection, run_id)
        found = interventions.section(Context(source))
        html = page(connection, run_id)
    assert ('id="interventions"' in html) == bool(found.title)
    return dict(found.data)


@pytest.fixture(scope="module")
def of_both(both: Path) -> dict:
    return section(both)


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("both")
    summary = run(BOTH, root)
    assert (summary.failed, summary.skipped) == (0, 0)
    return root


def test_curves_are_mean_effects_of_each_size(both: Path, of_both: dict) -> None:
    data = of_both
    (panel,) = data["tails"].panels
    assert panel.svg.startswith("<svg")
    table = [
        dict(zip(data["tails"].tables[0].columns, row, strict=True))
        for row in data["tails"].tables[0].rows
    ]
    assert {row["rule"] for row in table} == {
        "exact",
        "dot",
        "random",
        "top_loss",
        "gradient_norm",
    }
    for row in table:
        sql = f"""SELECT avg(effect) FROM effects WHERE group_id IN (SELECT group_id FROM groups
            WHERE rule = '{row["rule"]}' GROUP BY cell_id, group_id HAVING
            count(*) = {row["members"]})"""
        assert float(row["effect"]) == pytest.approx(rows(both, sql)[0][0], rel=1e-3)
        assert row["groups"] == ("6" if row["rule"] == "random" else "2")


def test_doses_say_what_linearization_leaves(both: Path, of_both: dict) -> None:
    found = {(row["procedure"], row["estimator"]): row for row in of_both["doses"]}
    assert found["half", "exact"]["weight"] == "0.5"
    assert found["wide", "exact"]["weight"] == "2"
    pairs = np.array(
        rows(
            both,
            "SELECT effect / score_scale, score FROM effects JOIN scores"
            " USING (cell_id, test_point, train_point) WHERE estimator = 'exact'"
            " AND procedure = 'half' AND removal = 'point'",
        )
    )
    effect, score = pairs.T
    left = np.sqrt(np.square(effect - score).mean() / np.square(effect).mean())
    assert found["half", "exact"]["left"].rstrip("\u202f%") == f"{left * 100:.2g}"


def test_planted_labels_are_listed_beside_chance(tmp_path: Path) -> None:
    run(NOISY, tmp_path)
    found = {(row["estimator"], row["procedure"]): row for row in section(tmp_path)["found"]}
    assert len(found) == 4
    assert found["exact", "itself"]["beats"] == "yes"
    assert found["chance", "itself"]["beats"] == "no"


def test_other_studies_have_no_such_section(tmp_path: Path) -> None:
    run(changed(RIDGE, {"procedures.warm.train_points": {"kind": "random", "count": 5}}), tmp_path)
    data = section(tmp_path)
    assert not data["tails"]
    assert not data["doses"]
    assert not data["found"]
