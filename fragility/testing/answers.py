"""What an estimator answers, and how a broken law is told."""

from __future__ import annotations

from typing import NoReturn

import torch
from torch import Tensor

from fragility.errors import MethodFailure
from fragility.estimators import Estimate, Estimator
from fragility.numerics.trained import TrainedModel
from fragility.testing.problems import N_TEST, Problem

ALL_TEST_POINTS = torch.arange(N_TEST)

TOLERANCE = 1e-3
"""Largest difference of scores that must be the same, over the largest score.

Solvers stop, and other packages compute in float32.
"""

DRAWN_TOLERANCE = 0.3
"""The same where examples are drawn by their position, so that other ones are drawn."""


def ask(estimator: Estimator, model: TrainedModel, test_points: Tensor) -> Estimate:
    """Returns the estimate; an average is made of one model as often as it wants some.

    Raises:
        MethodFailure: the estimator has no answer for this model.
    """
    return estimator.estimate_together([model] * estimator.models, test_points)


def answer(
    estimator: Estimator, problem: Problem, test_points: Tensor = ALL_TEST_POINTS
) -> Estimate:
    """Returns the estimate for a problem of a sort that the estimator has answered before."""
    try:
        return ask(estimator, problem.trained, test_points)
    except MethodFailure as failure:
        broken(estimator, problem, f"there must be an answer here too, but it fails: {failure}")


def broken(estimator: Estimator, problem: Problem, text: str) -> NoReturn:
    """Raises AssertionError: which estimator breaks a law, where, and how."""
    raise AssertionError(f"`{estimator.kind}` on {problem.name}: {text}")


def assert_same(
    estimator: Estimator,
    problem: Problem,
    found: Tensor,
    expected: Tensor,
    law: str,
    tolerance: float = TOLERANCE,
) -> None:
    """Two tables of scores are the same to a share of the largest score."""
    largest = float(expected.abs().max())
    difference = float((found.double() - expected.double()).abs().max())
    if not difference <= tolerance * largest:
        broken(
            estimator,
            problem,
            f"{law}, but scores differ by {difference:.3g}, and the largest is {largest:.3g}.",
        )
