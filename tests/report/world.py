"""A made-up store: DuckDB tables that carry the names and columns of the store's views."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import duckdb
import numpy as np

from fragility.store.queries import PUBLIC

RUN = "20260105T140300-quickstart"
COLUMNS: dict[str, str] = {
    table.name: ", ".join(f"{column.name} {column.type}" for column in table.columns)
    for table in PUBLIC
}
METRICS = (
    "pearson",
    "spearman",
    "kendall",
    "slope",
    "intercept",
    "r2_identity",
    "sign_agreement",
)
STUDY_TEXT = """\
study: quickstart   # the shipped one
title: Convex and not
question: Does an exact influence score predict what retraining does, with and without convexity?
seed: 0
models:
  linear: {kind: linear}
  mlp: {kind: mlp, hidden: [16], activation: "tanh"}
"""


DEFAULTS = {"effects": {"measurable": "loss", "score_scale": 1.0}}
"""What columns hold that a test does not name; others are null."""


def names(table: str) -> list[str]:
    return [part.split()[0] for part in COLUMNS[table].split(", ")]


@dataclass
class World:
    """Rows to be inserted, table by table."""

    rows: dict[str, list[tuple[Any, ...]]] = field(
        default_factory=lambda: {name: [] for name in COLUMNS}
    )
    blocks: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def add(self, table: str, *rows: tuple[Any, ...]) -> None:
        self.rows[table].extend(rows)

    def row(self, table: str, **columns: Any) -> None:
        """Adds one row."""
        assert columns.keys() <= set(names(table)), (table, list(columns), names(table))
        columns = DEFAULTS.get(table, {}) | columns
        self.rows[table].append(tuple(columns.get(name) for name in names(table)))

    def block(self, table: str, **columns: Any) -> None:
        """Adds many rows."""
        assert columns.keys() <= set(names(table)), (table, list(columns), names(table))
        length = max(len(c) for c in columns.values() if isinstance(c, np.ndarray))
        full = {}
        for name in names(table):
            value = columns.get(name, DEFAULTS.get(table, {}).get(name))
            is_array = isinstance(value, np.ndarray)
            full[name] = value if is_array else np.full(length, value, dtype=object)
        self.blocks.append((table, full))

    def connection(self) -> duckdb.DuckDBPyConnection:
        connection = duckdb.connect()
        for name, columns in COLUMNS.items():
            connection.execute(f"CREATE TABLE {name}({columns})")
            parts = [block for table, block in self.blocks if table == name]
            if self.rows[name]:
                parts.append(
                    {
                        label: np.array(column, dtype=object)
                        for label, column in zip(
                            names(name), zip(*self.rows[name], strict=True), strict=True
                        )
                    }
                )
            if parts:
                whole = {
                    label: np.concatenate([part[label] for part in parts]) for label in names(name)
                }
                connection.register("block", whole)
                connection.execute(f"INSERT INTO {name} SELECT * FROM block")
                connection.unregister("block")
        return connection


def run_row(**changes: Any) -> tuple[Any, ...]:
    """A row of `runs`; keyword arguments replace columns."""
    row: dict[str, Any] = {
        "run_id": RUN,
        "study": "quickstart",
        "title": "Convex and not",
        "plan_id": "plan-1",
        "command": "fragility run quickstart --repeats 2",
        "overrides": json.dumps(["repeats=2"]),
        "study_text": STUDY_TEXT,
        "study_path": "quickstart.yaml",
        "started": dt.datetime(2026, 1, 5, 14, 3),
        "finished": dt.datetime(2026, 1, 5, 14, 3, 29),
        "status": "done",
        "seconds": 29.4,
        "ok": 1830,
        "cached": 12,
        "failed": 0,
        "skipped": 0,
        "predicted_seconds": 25.0,
        "peak_memory": 912_000_000,
        "device": "cpu",
        "threads": 2,
        "compilation": "eager: no C++ compiler",
        "versions": json.dumps({"fragility": "0.1.0", "torch": "2.15.0", "python": "3.11.9"}),
        "seed": 0,
    }
    return tuple((row | changes).values())


@dataclass(frozen=True)
class Arm:
    """How one arm behaves: agreement `noise`, score `scale`, and how well it converges."""

    model: str
    regularization: str = "l2"
    factors: tuple[tuple[str, Any], ...] = ()
    noise: float = 0.02
    scale: float = 1.0
    grad_norm: float = 8e-9
    negative: int = 0
    top: float = 3.0
    converged: float = 1.0
    label: str = ""
    parameters: int = 62


def populate(
    world: World,
    arms: Sequence[Arm],
    *,
    repeats: int = 1,
    tests: int = 5,
    points: int = 25,
    replicates: int = 1,
    estimators: Iterable[str] = ("exact",),
    procedures: Iterable[str] = ("warm",),
    steps: int = 0,
    mismatch: str | None = None,
    metrics: Sequence[str] = METRICS,
) -> None:
    """Fills every table for the arms, as a finished run of them would."""
    for number, arm in enumerate(arms):
        for repeat in range(repeats):
            rng = np.random.default_rng([number, repeat])
            cell = f"cell{number:03d}r{repeat:02d}"
            label = arm.label or arm.model
            world.add(
                "cells",
                (
                    cell,
                    "quickstart",
                    "breast_cancer",
                    arm.model,
                    arm.regularization,
                    "adam",
                    repeat,
                    repeat,
                    json.dumps(dict(arm.factors)),
                    455,
                    114,
                    arm.parameters,
                    label,
                    None,
                ),
            )
            _base(world, arm, cell, rng)
            scores = rng.standard_t(4, (tests, points)) * 1e-3
            for estimator, procedure in product(estimators, procedures):
                world.add("arms", (cell, estimator, procedure, "warm", "all", "all", mismatch))
            for procedure in procedures:
                effects = _effects(world, arm, cell, procedure, scores, replicates, rng)
                _retrainings(world, arm, cell, procedure, effects, steps, rng)
                for estimator in estimators:
                    task = f"{cell}-measure-{estimator}-{procedure}"
                    world.add("tasks", _task(task, cell, "measure", estimator, procedure))
                    _agreements(
                        world, cell, estimator, procedure, scores, effects, metrics, replicates
                    )
            for estimator in estimators:
                grid = np.indices(scores.shape)
                world.block(
                    "scores",
                    cell_id=cell,
                    estimator=estimator,
                    test_point=grid[0].ravel(),
                    train_point=grid[1].ravel(),
                    group_id=None,
                    score=scores.ravel(),
                )


def _task(task: str, cell: str, kind: str, *labels: Any, status: str = "ok", why: Any = None):
    estimator, procedure = (*labels, None, None)[:2]
    return (task, cell, kind, estimator, procedure, None, None, "b1", status, why, 0.5, None)


def _base(world: World, arm: Arm, cell: str, rng: np.random.Generator) -> None:
    task = f"{cell}-train"
    norm = arm.grad_norm * np.exp(rng.normal(0, 0.3))
    world.add("tasks", _task(task, cell, "train"))
    world.add(
        "trainings",
        (
            task,
            cell,
            "base",
            None,
            None,
            None,
            4000,
            arm.grad_norm < 1e-06,
            False,
            norm,
            0.7,
            0.11,
            0.98,
            0.12,
            0.97,
            3.0,
            0.5,
            f"models/{task}.safetensors",
        ),
    )
    top = arm.top * np.exp(rng.normal(0, 0.2))
    facts = {
        "hessian_top_eigenvalue": top,
        "hessian_bottom_eigenvalue": -0.02 * top if arm.negative else 0.05,
        "hessian_negative_eigenvalues": float(arm.negative),
        "gradient_norm": norm,
    }
    for name, value in facts.items():
        world.add("diagnostics", (cell, f"{cell}-diagnose-{name}", name, None, value, None))


def _effects(world, arm, cell, procedure, scores, replicates, rng):
    tests, points = scores.shape
    truth = arm.scale * scores + arm.noise * 1e-3 * rng.standard_normal(scores.shape)
    noise = 0.0 if replicates == 1 else 0.1e-3
    effects = truth + noise * rng.standard_normal((replicates, tests, points))
    r, t, p = np.indices(effects.shape)
    world.block(
        "effects",
        cell_id=cell,
        procedure=procedure,
        replicate=r.ravel(),
        removal="point",
        test_point=t.ravel(),
        train_point=p.ravel(),
        group_id=None,
        before=np.full(effects.size, 0.1),
        after=0.1 + effects.ravel(),
        effect=effects.ravel(),
    )
    for test in range(tests):
        drift = arm.noise * 2e-4
        world.row(
            "effects",
            cell_id=cell,
            procedure=procedure,
            replicate=0,
            removal="placebo",
            test_point=test,
            before=0.1,
            after=0.1 + drift,
            effect=drift,
        )
    world.block(
        "points",
        cell_id=cell,
        procedure=procedure,
        split="train",
        point=np.arange(points),
        role="top_loss",
        value=np.linspace(1, 0, points),
        probability=np.full(points, np.nan),
        source_row=np.arange(points) * 3,
    )
    world.block(
        "points",
        cell_id=cell,
        procedure=procedure,
        split="test",
        point=np.arange(tests),
        role="all",
        loss=np.full(tests, 0.1),
        source_row=np.arange(tests),
    )
    return effects


def _retrainings(world, arm, cell, procedure, effects, steps, rng):
    points = effects.shape[-1]
    names = [f"{cell}-{procedure}-{k}" for k in range(points + 1)]
    removed = [str(k) for k in range(points)] + [None]
    good = rng.random(points + 1) <= arm.converged
    norms = arm.grad_norm * np.exp(rng.normal(0, 1, points + 1))
    for name, what, ok, norm in zip(names, removed, good, norms, strict=True):
        role = "retraining" if what is not None else "placebo"
        world.add("tasks", _task(name, cell, "retrain", None, procedure))
        world.add(
            "trainings",
            (
                name,
                cell,
                role,
                procedure,
                0,
                what,
                300,
                bool(ok),
                False,
                float(norm),
                0.11,
                0.11,
                0.98,
                0.12,
                0.97,
                0.05,
                0.1,
                None,
            ),
        )
    if not steps:
        return
    grid = np.linspace(0, 1, steps)
    final = np.append(effects[0, 0], arm.noise * 2e-4)
    values = 0.1 + final[:, None] * (1 - np.exp(-4 * grid)) + 1e-5 * np.sin(40 * grid)
    which, step = np.indices(values.shape)
    world.block(
        "trajectories",
        cell_id=cell,
        procedure=procedure,
        task_id=np.array(names, dtype=object)[which.ravel()],
        removed=np.array(removed, dtype=object)[which.ravel()],
        replicate=0,
        test_point=0,
        step=step.ravel() * 100,
        value=values.ravel(),
        train_loss=values.ravel(),
    )


def _agreements(world, cell, estimator, procedure, scores, effects, metrics, replicates):
    mean = effects.mean(axis=0)
    tests, points = scores.shape
    values = {
        "pearson": [np.corrcoef(s, e)[0, 1] for s, e in zip(scores, mean, strict=True)],
        "slope": [np.polyfit(s, e, 1)[0] for s, e in zip(scores, mean, strict=True)],
        "intercept": [np.polyfit(s, e, 1)[1] for s, e in zip(scores, mean, strict=True)],
        "sign_agreement": list((np.sign(scores) == np.sign(mean)).mean(axis=1)),
    }
    chances = {"sign_agreement": 0.5, "|spearman|": 0.0843}
    ceiling = 0.97 if replicates > 1 else None
    for metric in metrics:
        found = np.array(values.get(metric, values["pearson"])) * (
            0.95 if metric not in values else 1
        )
        half = 2 * abs(1 - abs(found)) / np.sqrt(points) + 1e-5
        for test, (value, width) in enumerate(zip(found, half, strict=True)):
            row = (cell, estimator, procedure, test, metric, "raw", float(value))
            bounds = float(value - width), float(value + width)
            limits = chances.get(metric, 0.0), ceiling
            world.add("agreements", (*row, *bounds, *limits, points, None))
        value, width = float(np.median(found)), float(np.median(half))
        row = (cell, estimator, procedure, metric, "median", "raw", value)
        world.add("summaries", (*row, value - width, value + width, 0.0, tests, points, None))


def quickstart(**changes: Any) -> World:
    """Two arms, one repeat: a convex one that agrees and one that does not."""
    world = World()
    world.add("runs", run_row(**changes))
    populate(
        world,
        [
            Arm("linear"),
            Arm(
                "mlp",
                noise=0.9,
                scale=1.34,
                grad_norm=3e-3,
                negative=37,
                converged=0.92,
                parameters=642,
            ),
        ],
        tests=20,
        points=60,
        steps=40,
    )
    return world


def depths(repeats: int = 6, points: int = 25, count: int = 8) -> World:
    """A sweep over depth with and without L2, several repeats, one test point."""
    world = World()
    world.add("runs", run_row(study="iris-depth", title="Iris, depth"))
    arms = [
        Arm(
            "mlp",
            name,
            (("models.mlp.depth", depth),),
            noise=(0.4 if name == "l2" else 2.0) * depth,
            grad_norm=1e-3 * depth,
            negative=depth,
            top=1.0 + depth,
            converged=0.5,
            label=f"{name} / models.mlp.depth={depth}",
            parameters=43 + 30 * (depth - 1),
        )
        for name in ("none", "l2")
        for depth in range(1, count + 1)
    ]
    populate(world, arms, repeats=repeats, tests=1, points=points, steps=20)
    return world
