"""A study small enough to run in a test, ways to change it, and what a run leaves behind."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from fragility.execution.events import Event, RunSummary
from fragility.execution.run import RunOptions, run_study
from fragility.plan import Plan, Task, compile_study
from fragility.store.queries import PUBLIC, connect, query
from fragility.study.load import LoadedStudy, load_text

Study = Mapping[str, Any]

TINY: Study = {
    "study": "tiny",
    "controls": False,
    "datasets": {
        "s": {"kind": "synthetic", "n": 40, "n_features": 4, "n_informative": 3, "test_n": 5}
    },
    "models": {"net": {"kind": "mlp", "hidden": [3], "activation": "tanh"}},
    "regularization": {"l2": {"kind": "weight_decay", "strength": 0.05}},
    "training": {
        "adam": {
            "kind": "full_batch",
            "optimizer": {"kind": "adam", "learning_rate": 0.05},
            "steps": 20,
            "dtype": "float64",
        }
    },
    "estimators": {"exact": {"kind": "exact", "damping": 0.01}},
    "procedures": {
        "warm": {
            "kind": "leave_one_out",
            "steps": 5,
            "train_points": {"kind": "top_loss", "count": 4},
            "test_points": {"kind": "random", "count": 2},
        }
    },
    "metrics": ["pearson", "slope"],
    "diagnostics": ["gradient_norm"],
}

RIDGE: Study = {
    "study": "ridge",
    "datasets": {
        "diabetes": {
            "kind": "diabetes",
            "standardize": "train",
            "standardize_targets": True,
            "subset": {"train": 40, "test": 6},
        }
    },
    "models": {"linear": {"kind": "linear"}},
    "regularization": {"l2": {"kind": "weight_decay", "strength": 0.1}},
    "training": {
        "lbfgs": {
            "kind": "full_batch",
            "optimizer": {"kind": "lbfgs"},
            "steps": 500,
            "gradient_norm": 1e-12,
            "dtype": "float64",
        }
    },
    "estimators": {"exact": {"kind": "exact"}},
    "procedures": {
        "warm": {
            "kind": "leave_one_out",
            "removal": "zero_weight",
            "train_points": {"kind": "all"},
            "test_points": {"kind": "all"},
        }
    },
    "metrics": ["pearson", "slope"],
    "diagnostics": [],
}

TIMES = ("seconds", "finished", "started")


def changed(study: Study, changes: Mapping[str, Any]) -> dict[str, Any]:
    """The study with other values at some dotted paths."""
    result = copy.deepcopy(dict(study))
    for path, value in changes.items():
        *parents, last = path.split(".")
        inner = result
        for step in parents:
            inner = inner.setdefault(step, {})
        inner[last] = value
    return result


def load(study: Study, file: Path = Path("tiny.yaml")) -> LoadedStudy:
    # JSON is YAML.
    return load_text(json.dumps(study), file)


def plan(study: Study, file: Path = Path("tiny.yaml")) -> Plan:
    return compile_study(load(study, file))


def place(task: Task) -> tuple[object, ...]:
    """Which task of a study this is, whatever its id."""
    return (
        *(task.cell, task.kind, task.estimator, task.procedure),
        *(task.slot, task.replicate, task.diagnostic),
    )


def run(
    study: Study,
    root: Path,
    *,
    on_event: Callable[[Event], None] = lambda event: None,
    **options: Any,
) -> RunSummary:
    return run_study(load(study), root, RunOptions(device="cpu", **options), on_event)


def rows(root: Path, sql: str, run: str | None = None) -> list[tuple[Any, ...]]:
    return query(root, sql, run).rows


def everything(root: Path) -> dict[str, list[str]]:
    """All rows of all public tables but `runs`, written out, without what a clock decides."""
    found = {}
    with connect(root) as connection:
        for table in PUBLIC:
            if table.name not in ("runs", "current_plans"):
                columns = [c.name for c in table.columns if c.name not in TIMES]
                listed = ", ".join(f'"{column}"' for column in columns)
                read = connection.execute(f"SELECT {listed} FROM {table.name}").fetchall()
                found[table.name] = sorted(map(repr, read))
    return found


def batch_files(root: Path) -> set[str]:
    """The files of finished batches in the log."""
    return {path.name for path in (root / "log").glob("*.safetensors")}
