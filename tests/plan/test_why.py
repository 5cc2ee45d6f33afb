"""What `plan` says of why tasks run."""

from __future__ import annotations

from typing import Any

import pytest

from fragility.plan.tasks import Kind
from fragility.plan.why import why
from tests.tiny import TINY, changed, plan

BEFORE = plan(TINY)


def reasons(changes: dict[str, Any]) -> dict[Kind, str]:
    """The reason for each kind of task, after a full run of the tiny study."""
    now = plan(changed(TINY, changes))
    pending = frozenset(now.tasks.keys() - BEFORE.tasks.keys())
    return {kind: why(now, kind, pending, BEFORE.resolved) for kind in now.counts()}


def test_a_first_run_is_new() -> None:
    for kind in BEFORE.counts():
        assert why(BEFORE, kind, frozenset(BEFORE.tasks), None) == "new"


def test_a_finished_study_is_done() -> None:
    assert set(reasons({}).values()) == {"done"}
    assert set(reasons({"title": "Another title"}).values()) == {"done"}


def test_what_a_study_does_not_ask_for() -> None:
    bare = plan(changed(TINY, {"estimators": {}, "procedures": {}, "diagnostics": []}))
    everything = frozenset(bare.tasks)
    assert why(bare, "train", everything, None) == "new"
    for kind in ("estimate", "retrain", "measure", "diagnose"):
        assert why(bare, kind, everything, None) == "none asked for"


def test_an_interrupted_run_goes_on() -> None:
    everything = frozenset(BEFORE.tasks)
    for before in (BEFORE, plan(changed(TINY, {"title": "Only the title is another"}))):
        for kind in BEFORE.counts():
            reason = why(BEFORE, kind, everything, before.resolved)
            assert reason == "not finished in the last run"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"repeats": 3},
            dict.fromkeys(["train", "estimate", "retrain", "measure", "diagnose"], "+2 repeats"),
        ),
        (
            {"estimators.exact.damping": 0.1},
            {
                "train": "done",
                "estimate": "estimators.exact.damping 0.01 -> 0.1",
                "retrain": "done",
                "measure": "estimators.exact.damping 0.01 -> 0.1",
            },
        ),
        (
            {"estimators.b": {"kind": "exact", "damping": 1}},
            {"train": "done", "estimate": "+estimators.b", "measure": "+estimators.b"},
        ),
        (
            {"procedures.cold": {**TINY["procedures"]["warm"], "start": "cold"}},
            {"estimate": "done", "retrain": "+procedures.cold", "measure": "+procedures.cold"},
        ),
        (
            {"procedures.warm.gradient_norm": 1e-3},
            {"retrain": "procedures.warm.gradient_norm null -> 0.001"},
        ),
        (
            {"procedures.warm.train_points.count": 6},
            {"train": "done", "retrain": "procedures.warm.train_points.count 4 -> 6"},
        ),
        (
            {"training.adam.steps": 30},
            {
                "train": "training.adam.steps 20 -> 30",
                "estimate": "training.adam.steps 20 -> 30",
                "diagnose": "training.adam.steps 20 -> 30",
            },
        ),
        ({"metrics": ["pearson", "slope", "kendall"]}, {"measure": "+metrics.kendall"}),
        ({"metrics": ["pearson"]}, {"measure": "-metrics.slope"}),
        (
            {"metrics": ["pearson", "slope", {"kind": "pearson", "absolute": True}]},
            {"measure": "+metrics.pearson 2"},
        ),
        (
            {"diagnostics": ["gradient_norm", "hessian_top_eigenvalue"]},
            {"train": "done", "diagnose": "+diagnostics.hessian_top_eigenvalue"},
        ),
        (
            {"sweep": {"models.net.hidden": [[3], [4]]}},
            {"train": "+sweep.models.net.hidden"},
        ),
        (
            {"models.net.hidden": [4], "models.net.activation": "relu", "seed": 1, "repeats": 2},
            {
                "train": "seed 0 -> 1, +1 repeat, models.net.widths [3] -> [4], 1 more change",
            },
        ),
    ],
    ids=str,
)
def test_what_changed_is_the_reason(changes: dict[str, Any], expected: dict[Kind, str]) -> None:
    found = reasons(changes)
    assert {kind: found[kind] for kind in expected} == expected


def test_a_removed_method_is_said_of_what_is_left_to_do() -> None:
    both = plan(changed(TINY, {"estimators.b": {"kind": "exact", "damping": 1}}))
    reason = why(BEFORE, "estimate", frozenset(BEFORE.tasks), both.resolved)
    assert reason == "-estimators.b"
