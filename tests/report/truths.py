"""Made-up stores with several truths: scores and effects are given, cells and arms follow."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from fragility.report.context import Context
from fragility.report.source import Source
from tests.report import world

SHAPE = (1, 8, 40)
"""Repeats, test points, removals."""


@dataclass(frozen=True)
class Truth:
    """Effects (repeats, replicates, tests, removals) under one truth's name."""

    name: str
    effects: np.ndarray
    parameters: str = "all"
    mismatch: str | None = None
    group: bool = False
    removed: np.ndarray | None = None


def measured(
    scores: np.ndarray | Mapping[str, np.ndarray],
    truths: Mapping[str, Truth],
    *,
    parameters: str | None = "all",
    arm: str = "mlp",
    into: world.World | None = None,
) -> world.World:
    """Returns a store whose scores (repeats, tests, removals) are held against the truths."""
    filled = into or world.World()
    if into is None:
        filled.add("runs", world.run_row())
    by_estimator = scores if isinstance(scores, Mapping) else {"exact": scores}
    for repeat in range(len(next(iter(by_estimator.values())))):
        cell = f"{arm}-{repeat}"
        sizes = (json.dumps({}), 455, 114, 62, arm, None)
        filled.add(
            "cells",
            (cell, "quickstart", "breast_cancer", arm, "l2", "adam", repeat, repeat, *sizes),
        )
        for estimator, values in by_estimator.items():
            for group in sorted({truth.group for truth in truths.values()} | {False}):
                _scores(filled, cell, estimator, values[repeat], group=group)
            for label, truth in truths.items():
                filled.add(
                    "arms",
                    (cell, estimator, label, truth.name, parameters, truth.parameters,
                     truth.mismatch),
                )  # fmt: skip
        for label, truth in truths.items():
            _effects(filled, cell, label, truth, truth.effects[repeat])
    return filled


def _scores(
    filled: world.World, cell: str, estimator: str, values: np.ndarray, *, group: bool
) -> None:
    test, removed = (axis.ravel() for axis in np.indices(values.shape))
    filled.block(
        "scores",
        cell_id=cell,
        estimator=estimator,
        test_point=test,
        train_point=None if group else removed,
        group_id=removed if group else None,
        score=values.ravel(),
    )


def _effects(filled: world.World, cell: str, label: str, truth: Truth, effects: np.ndarray) -> None:
    replicate, test, place = (axis.ravel() for axis in np.indices(effects.shape))
    removed = place if truth.removed is None else truth.removed[place]
    filled.block(
        "effects",
        cell_id=cell,
        procedure=label,
        replicate=replicate,
        removal="group" if truth.group else "point",
        test_point=test,
        train_point=None if truth.group else removed,
        group_id=removed if truth.group else None,
        before=np.full(effects.size, 0.1),
        after=0.1 + effects.ravel(),
        effect=effects.ravel(),
    )


def context(filled: world.World) -> Context:
    return Context(Source(filled.connection(), world.RUN))


def draws(seed: int, shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def steps(scores: np.ndarray, sizes: Mapping[str, float], seed: int = 0) -> dict[str, Truth]:
    """Returns truths by name, each the one before plus noise of that size, from the scores up."""
    found: dict[str, Truth] = {}
    values = scores
    for place, (name, size) in enumerate(sizes.items()):
        values = values + size * draws(1000 * seed + place + 1, scores.shape)
        found[name.replace(" ", "_")] = Truth(name, values[:, None])
    return found


def replicated(effects: np.ndarray, count: int, noise: float, seed: int = 7) -> np.ndarray:
    """Returns so many noisy replicates (repeats, replicates, tests, removals) of effects."""
    repeats, tests, removals = effects.shape
    return effects[:, None] + noise * draws(seed, (repeats, count, tests, removals))
