"""Measures how long a study of 10,000 tasks takes to compile.

Run it as `python benchmarks/compile.py`; it prints one line a study, best of three.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

from fragility.plan import Plan, compile_study
from fragility.plan.record import plan_record
from fragility.study.load import load_text

POINTS = {"train_points": {"kind": "top_loss", "count": 25}, "test_points": {"kind": "all"}}
STUDY: dict[str, Any] = {
    "study": "compile",
    "datasets": {"iris": {"kind": "iris", "standardize": "train", "hold_out": [83]}},
    "models": {"mlp": {"kind": "mlp", "hidden": [5], "activation": "selu"}},
    "regularization": {"none": {"kind": "none"}, "l2": {"kind": "weight_decay", "strength": 5e-3}},
    "training": {"adam": {"kind": "full_batch", "steps": 60000}},
    "estimators": {"exact": {"kind": "exact", "damping": 0.01}},
    "procedures": {"warm": {"kind": "leave_one_out", "steps": 7500, **POINTS}},
    "sweep": {"models.mlp.depth": [1, 2, 3, 4, 5, 6, 7, 8]},
}
STUDIES = {
    "16 settings x 18 repeats, 25 retrainings each": {**STUDY, "repeats": 18},
    "damping swept over 100 values on 12 base models": {
        **STUDY,
        "repeats": 6,
        "sweep": {"estimators.exact.damping": [place / 100 for place in range(1, 101)]},
    },
    "1 setting, every point of breast_cancer, 22 cold replicates": {
        **STUDY,
        "datasets": {"cancer": {"kind": "breast_cancer", "standardize": "train"}},
        "regularization": {"none": {"kind": "none"}},
        "procedures": {
            "cold": {
                "kind": "leave_one_out",
                "start": "cold",
                "replicates": 22,
                "train_points": {"kind": "all"},
                "test_points": {"kind": "all"},
            }
        },
        "sweep": {},
    },
}


def compiled(study: dict[str, Any]) -> Plan:
    return compile_study(load_text(json.dumps(study), Path("compile.yaml")))


def best(repeats: int, work: Callable[[], object]) -> float:
    seconds = []
    for _ in range(repeats):
        started = perf_counter()
        work()
        seconds.append(perf_counter() - started)
    return min(seconds)


def main() -> None:
    for name, study in STUDIES.items():
        plan = compiled(study)
        load_and_compile = best(3, lambda study=study: compiled(study))
        record = best(3, lambda plan=plan: plan_record(plan))
        print(
            f"{name}: {len(plan.tasks):,} tasks ({len(plan.placements):,} placements), "
            f"{len(plan.batches)} batches: {load_and_compile:.2f} s, "
            f"as tables {record:.2f} s"
        )


if __name__ == "__main__":
    main()
