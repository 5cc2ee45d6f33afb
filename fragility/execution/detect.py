"""How well scores find the training examples whose label was replaced."""

from __future__ import annotations

import numpy as np

from fragility.errors import MethodFailure
from fragility.execution.outcome import Outcome
from fragility.execution.workbench import Workbench
from fragility.plan.tasks import Task
from fragility.statistics import area_under_curve

CHANCE = 0.5
MOST_PAIRS = 2**28


def pairs_of_training_points(n_train: int) -> None:
    """Checks that all pairs of training points can be scored.

    Raises:
        MethodFailure: they would take more than 2 GiB.
    """
    if n_train**2 > MOST_PAIRS:
        raise MethodFailure(
            f"`by: self_influence` scores all pairs of {n_train:,} training examples, and holds at "
            f"most {MOST_PAIRS:,}.",
            "Use a smaller `subset`, or `by: test_points`.",
        )


def record_detection(outcome: Outcome, bench: Workbench, task: Task, position: int) -> None:
    """Writes the area under the ROC curve of one estimator: replaced labels against right ones."""
    planned = bench.cell(task)
    procedure = planned.cell.procedures[str(task.procedure)]
    scores = bench.store.arrays(task.inputs[1], "scores")["scores"]
    # The harmful are suspect: removing them raises their own loss, and lowers that of others.
    suspicion = scores[0] if procedure.finds == "self_influence" else -scores.mean(axis=0)
    flipped = np.zeros(len(suspicion), dtype=bool)
    flipped[bench.catalog.data(planned.cell.dataset, planned.cell.seed).flipped] = True
    found = area_under_curve(suspicion, flipped)
    outcome.add(
        "agreement_facts",
        position,
        metric="auc",
        weighting="raw",
        test_point=None,
        value=found.value,
        ci_low=found.low,
        ci_high=found.high,
        chance=CHANCE,
        ceiling=None,
        n=len(suspicion),
        reason=found.reason,
    )
