"""Numbers of replicates that follow from a pilot, against analysis of variance in numpy."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from fragility.errors import StudyError
from fragility.execution.pilot import Decision, run_piloted
from fragility.execution.run import RunOptions
from tests.tiny import TINY, changed, load, plan, rows

RULE = {"target_reliability": 0.98, "pilot": 3, "max": 40}
STUDY = changed(
    TINY,
    {
        "procedures": {
            "cold": {
                "kind": "leave_one_out",
                "start": "cold",
                "replicates": RULE,
                "train_points": {"kind": "top_loss", "count": 6},
                "test_points": {"kind": "random", "count": 2},
            }
        },
        "training.adam.steps": 60,
    },
)


def _run(root: Path, study: dict) -> tuple:
    decisions: list[Decision] = []
    summary = run_piloted(
        load(study), root, RunOptions(device="cpu"), lambda event: None, None, decisions.append
    )
    assert (summary.failed, summary.skipped) == (0, 0)
    return summary, decisions


def _single_reliability(root: Path, replicates: int) -> float:
    """ICC(C,1) of the first replicates by analysis of variance, the mean over test points."""
    sql = f"""SELECT test_point, effect FROM effects WHERE removal = 'point'
        AND replicate < {replicates} ORDER BY test_point, replicate, train_point"""
    found = np.array(rows(root, sql), dtype=float)
    values = []
    for test_point in np.unique(found[:, 0]):
        table = found[found[:, 0] == test_point, 1].reshape(replicates, -1)
        rest = table - table.mean(axis=0) - table.mean(axis=1, keepdims=True) + table.mean()
        points = replicates * table.mean(axis=0).var(ddof=1)
        noise = np.square(rest).sum() / ((replicates - 1) * (table.shape[1] - 1))
        values.append((points - noise) / (points + (replicates - 1) * noise))
    return float(np.mean(values))


def test_the_number_is_spearman_and_browns(tmp_path: Path) -> None:
    summary, (decision,) = _run(tmp_path, STUDY)
    one = _single_reliability(tmp_path, 3)
    assert 0 < one < 0.98
    assert decision.reliability == pytest.approx(one)
    needed = math.ceil(0.98 * (1 - one) / (one * (1 - 0.98)))
    assert 3 < needed < 40
    assert decision.replicates == needed
    assert decision.enough
    ((stored,),) = rows(tmp_path, "SELECT count(DISTINCT replicate) FROM effects")
    assert stored == needed
    assert summary.cached == 0
    # The pilot's own effects and agreement come on top; nothing else is done twice.
    written = changed(STUDY, {"procedures.cold.replicates": needed})
    assert summary.ok == len(plan(written).tasks) + 2
    again, repeated = _run(tmp_path, STUDY)
    assert again.ok == 0
    assert repeated == [decision]


def test_the_result_is_that_of_the_number_written_out(tmp_path: Path) -> None:
    _, (decision,) = _run(tmp_path, STUDY)
    written = changed(STUDY, {"procedures.cold.replicates": decision.replicates})
    summary, none = _run(tmp_path, written)
    assert none == []
    assert summary.ok == 0


def test_the_number_stays_below_the_greatest(tmp_path: Path) -> None:
    _, (decision,) = _run(tmp_path, changed(STUDY, {"procedures.cold.replicates.max": 4}))
    assert (decision.replicates, decision.enough) == (4, False)


def test_a_greatest_number_below_the_pilot_is_refused() -> None:
    with pytest.raises(StudyError, match="below `pilot`"):
        load(changed(STUDY, {"procedures.cold.replicates.max": 2}))
