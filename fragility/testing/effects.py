"""Laws of what scores predict: the sign and the unit of a removal."""

from __future__ import annotations

import torch

from fragility.estimators import Estimator
from fragility.testing.answers import (
    DRAWN_TOLERANCE,
    TOLERANCE,
    answer,
    assert_same,
    broken,
)
from fragility.testing.problems import Problem, doubled, planted


def assert_sign(estimator: Estimator, problem: Problem) -> None:
    """A test point that is in the training set too was helping; with a flipped label, hurting."""
    first = torch.tensor([0])
    for flipped, wanted in ((False, "positive"), (True, "negative")):
        other = planted(problem, flipped)
        score = float(answer(estimator, other, first).scores[0, -1])
        if not (score < 0 if flipped else score > 0):
            broken(
                estimator,
                other,
                f"that example's score must be {wanted}, and is {score:.3g}; a score is the "
                "predicted change of the test point's loss when the example is removed.",
            )


def assert_unit(estimator: Estimator, problem: Problem, *, order_matters: bool = False) -> None:
    """An example that is there twice counts half: scores have the 1/n of a removal."""
    other = doubled(problem)
    found = answer(estimator, other).scores
    once = answer(estimator, problem).scores
    half = torch.cat([once, once], dim=1) / 2
    law = "scores must be half of those with every example once (the unit has a 1/n)"
    tolerance = DRAWN_TOLERANCE if order_matters else TOLERANCE
    assert_same(estimator, other, found, half, law, tolerance)
