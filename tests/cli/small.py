"""A store with two small runs, written the way a run writes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fragility.store import BatchRecord, PlanRecord, RunEnd, RunStart, Store, TaskResult

METRICS = ("pearson", "spearman", "slope")
OLD, NEW = "20260105-140300-aaaaaa", "20260106-080000-bbbbbb"


def write(root: Path) -> None:
    """Writes two runs: the study `wine` (failed), then the study `iris` (done)."""
    with Store.open(root, write=True) as store:
        for run_id, study, label, status in (
            (OLD, "wine", "studies/wine.yaml", "failed"),
            (NEW, "iris", "iris", "done"),
        ):
            store.start_run(
                RunStart(
                    run_id=run_id,
                    study=study,
                    plan_id=f"plan-{study}",
                    started=f"{run_id[:4]}-{run_id[4:6]}-{run_id[6:8]}T08:00:00+00:00",
                    command=f"fragility run {label}",
                    study_text=f"study: {study}\n",
                    study_path=label,
                    device="cpu",
                    threads=2,
                    versions={"torch": "2.15.0"},
                    seed=0,
                ),
                _plan(study),
            )
            store.commit(_record(study))
            store.end_run(
                RunEnd(
                    run_id=run_id,
                    status="done" if status == "done" else "failed",
                    finished="2026-01-06T08:01:00+00:00",
                    seconds=29.0,
                    ok=3,
                    cached=0,
                    failed=0 if status == "done" else 1,
                    skipped=0,
                    peak_memory=900_000_000,
                )
            )


def _plan(study: str) -> PlanRecord:
    tasks = [("train", None, None), ("estimate", "exact", "warm"), ("measure", "exact", "warm")]
    return PlanRecord(
        plan_id=f"plan-{study}",
        cells=_columns(
            "cell_id study dataset model regularization training repeat seed factors n_train n_test"
            " parameters arm",
            [(f"c-{study}", study, study, "mlp", "l2", "adam", 0, 0, "{}", 100, 3, 20, "mlp")],
        ),
        arms=_columns(
            "cell_id estimator procedure truth score_parameters truth_parameters mismatch",
            [(f"c-{study}", "exact", "warm", "warm", "all", "all", None)],
        ),
        tasks=_columns(
            "task_id cell_id kind estimator procedure slot replicate batch_id",
            [
                (f"{kind}-{study}", f"c-{study}", kind, estimator, procedure, None, None, "b")
                for kind, estimator, procedure in tasks
            ],
        ),
    )


def _record(study: str) -> BatchRecord:
    kinds = ("train", "estimate", "measure")
    rows = [(2, metric, "median", 0.5, 0.4, 0.6, 0.0, 3, 25, None) for metric in METRICS]
    return BatchRecord(
        batch_id=f"b-{study}",
        finished="2026-01-06T08:00:30+00:00",
        tasks=tuple(TaskResult(f"{kind}-{study}", kind, "ok", None, 1.5) for kind in kinds),
        tables={
            "summary_facts": _columns(
                "task metric aggregation value ci_low ci_high share_undefined n_test n reason", rows
            )
        },
    )


def _columns(names: str, rows: Sequence[tuple[Any, ...]]) -> Mapping[str, list[Any]]:
    return {name: [row[i] for row in rows] for i, name in enumerate(names.split())}
