"""A small made-up store: two studies' worth of plans, runs and batches."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fragility.store import BatchRecord, PlanRecord, RunEnd, RunStart, Store, TaskResult
from fragility.store.database import database_path, open_database
from fragility.store.schema import TABLES

DAY = "2026-01-{:02d}T12:00:00+00:00"
CELL = {
    "cell_id": ["c0"],
    "study": ["demo"],
    "dataset": ["iris"],
    "model": ["mlp"],
    "regularization": ["l2"],
    "training": ["adam"],
    "repeat": [0],
    "seed": [2**62 + 1],
    "factors": ['{"models.mlp.depth": 3}'],
    "n_train": [10],
    "n_test": [2],
    "parameters": [None],
    "arm": ["iris / mlp"],
}
ARM = {
    "cell_id": ["c0"],
    "estimator": ["exact"],
    "procedure": ["warm"],
    "score_parameters": ["all"],
    "truth": ["warm"],
    "truth_parameters": ["all"],
    "mismatch": [None],
}
TASKS = [
    # task, kind, estimator, procedure, slot, replicate, batch
    ("t-base", "train", None, None, None, None, "b-train"),
    ("t-score", "estimate", "exact", None, None, None, "b-score"),
    ("t-drop0", "retrain", None, "warm", 0, 0, "b-retrain"),
    ("t-drop1", "retrain", None, "warm", 1, 0, "b-retrain"),
    ("t-effect", "measure", None, "warm", None, None, "b-measure"),
    ("t-agree", "measure", "exact", "warm", None, None, "b-agree"),
]


def plan(plan_id: str = "p0", study: str = "demo", tasks: Sequence[Any] = TASKS) -> PlanRecord:
    names = ("task_id", "kind", "estimator", "procedure", "slot", "replicate", "batch_id")
    columns = {name: [task[index] for task in tasks] for index, name in enumerate(names)}
    return PlanRecord(
        plan_id, CELL | {"study": [study]}, ARM, columns | {"cell_id": ["c0"] * len(tasks)}
    )


def start(run_id: str = "r0", day: int = 1, study: str = "demo", plan_id: str = "p0") -> RunStart:
    return RunStart(
        run_id,
        study,
        plan_id,
        DAY.format(day),
        command="fragility run demo",
        overrides=["seed=1"],
        versions={"python": "3.11"},
        seed=2**62,
    )


def results(*task_ids: str, kind: str = "retrain", status: Any = "ok") -> tuple[TaskResult, ...]:
    message = None if status == "ok" else "it diverged"
    return tuple(TaskResult(task_id, kind, status, message, 0.5) for task_id in task_ids)


def record(
    batch_id: str,
    task_ids: Sequence[str],
    tables: Mapping[str, Mapping[str, Any]] | None = None,
    *,
    day: int = 1,
    status: str = "ok",
    kind: str = "retrain",
    arrays: Mapping[str, Any] | None = None,
) -> BatchRecord:
    done = results(*task_ids, kind=kind, status=status)
    return BatchRecord(batch_id, DAY.format(day), done, tables or {}, arrays or {})


def trainings(role: str, removed: Sequence[str | None], loss: float = 0.25) -> dict[str, Any]:
    count = len(removed)
    return {
        "task": np.arange(count),
        "role": [role] * count,
        "removed": list(removed),
        "steps": [7] * count,
        "converged": [True] * count,
        "grad_norm": [1e-9] * count,
        "test_loss": [loss] * count,
        "test_accuracy": [None] * count,
    }


def batches() -> list[BatchRecord]:
    one = np.zeros(4, dtype=np.int64)
    pair = {"test_point": [0, 0, 1, 1], "train_point": [0, 1, 0, 1]}
    return [
        record("b-train", ["t-base"], {"training_facts": trainings("base", [None])}, kind="train"),
        record(
            "b-score",
            ["t-score"],
            {"score_facts": {"task": one, **pair, "score": [1.0, 2.0, np.inf, np.nan]}},
            kind="estimate",
        ),
        record(
            "b-retrain",
            ["t-drop0", "t-drop1"],
            {
                "training_facts": trainings("retraining", ["0", "1"]),
                "trajectory_facts": {
                    "task": [0, 0, 1],
                    "test_point": [0, 0, 0],
                    "step": [0, 5, 5],
                    "value": [1.0, 0.5, 0.4],
                    "train_loss": [1.0, 0.9, 0.8],
                },
            },
            arrays={"losses": np.arange(6.0).reshape(2, 3)},
        ),
        record(
            "b-measure",
            ["t-effect"],
            {
                "effect_facts": {
                    "task": one,
                    **pair,
                    "replicate": one,
                    "removal": ["point"] * 4,
                    "before": [0.0] * 4,
                    "after": [1.0] * 4,
                    "effect": [1.0] * 4,
                },
                "point_facts": {
                    "task": [0, 0],
                    "split": ["test", "train"],
                    "point": [0, 1],
                    "role": ["all", "all"],
                    "source_row": [3, 4],
                },
            },
            kind="measure",
        ),
        record(
            "b-agree",
            ["t-agree"],
            {
                "agreement_facts": {
                    "task": [0, 0],
                    "test_point": [0, None],
                    "metric": ["pearson", "pearson"],
                    "value": [0.5, None],
                    "chance": [0.0, None],
                    "n": [2, 4],
                    "reason": [None, "all 4 effects are equal"],
                }
            },
            kind="measure",
        ),
    ]


def fill(root: Path) -> None:
    with Store.open(root, write=True) as store:
        store.start_run(start(), plan())
        for batch in batches():
            store.commit(batch)
        store.end_run(RunEnd("r0", "done", DAY.format(2), 60.0, 6, 0, 0, 0, 10**9))


def rows(root: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table, in a fixed order."""
    with open_database(database_path(root), read_only=True, wait=5.0) as connection:
        return {
            table.name: connection.execute(f"FROM {table.name} ORDER BY ALL").fetchall()
            for table in TABLES
        }


def python(code: str, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
