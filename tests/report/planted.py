"""Made-up stores of agreements alone: a number for every choice, repeat and test point is given."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from fragility.report.context import Context
from fragility.report.source import Source
from tests.report import world

Planted = Callable[[Mapping[str, Any], str, str, int], Sequence[float] | np.ndarray]
"""Of swept values, estimator, procedure and repeat, the correlations at the test points."""


def agreements(
    settings: Iterable[Mapping[str, Any]],
    planted: Planted,
    *,
    repeats: int,
    estimators: Sequence[str] = ("exact",),
    procedures: Sequence[str] = ("warm",),
    models: Sequence[str] = ("mlp",),
    metrics: Sequence[str] = ("pearson", "spearman"),
    mismatch: Mapping[str, str] = {},
    skip: Callable[[Mapping[str, Any], str, str, int], bool] = lambda *_: False,
    **run: Any,
) -> Context:
    """Returns the store of a study over swept `settings`; models stand among them as `model`."""
    filled = world.World()
    filled.add("runs", world.run_row(**run))
    for place, (setting, model) in enumerate((s, m) for s in settings for m in models):
        arm = " / ".join((model, *(f"{name}={value}" for name, value in setting.items())))
        for repeat in range(repeats):
            cell = f"cell{place:03d}r{repeat:02d}"
            filled.row(
                "cells",
                cell_id=cell, study="quickstart", dataset="iris", model=model,
                regularization="l2", training="adam", repeat=repeat, seed=0,
                factors=json.dumps(setting), n_train=100, n_test=20, parameters=10, arm=arm,
            )  # fmt: skip
            for estimator in estimators:
                for procedure in procedures:
                    known = {**setting, "model": model}
                    if skip(known, estimator, procedure, repeat):
                        continue
                    filled.row(
                        "arms", cell_id=cell, estimator=estimator, procedure=procedure,
                        truth="warm", score_parameters="all", truth_parameters="all",
                        mismatch=mismatch.get(procedure),
                    )  # fmt: skip
                    values = np.asarray(planted(known, estimator, procedure, repeat))
                    _agreements(filled, (cell, estimator, procedure), values, metrics)
    return Context(Source(filled.connection(), world.RUN))


def _agreements(
    filled: world.World, key: tuple[str, str, str], values: np.ndarray, metrics: Sequence[str]
) -> None:
    labels = dict(zip(("cell_id", "estimator", "procedure"), key, strict=True))
    for metric in metrics:
        common = {**labels, "metric": metric, "weighting": "raw", "n": 25}
        for test, value in enumerate(values):
            filled.row("agreements", **common, test_point=test, value=float(value), chance=0.0)
        filled.row(
            "summaries", **common, aggregation="median", value=float(np.median(values)),
            share_undefined=0.0, n_test=len(values),
        )  # fmt: skip
