"""Checks of estimators against the laws that studies rely on; for authors of estimators.

    from fragility.testing import check_estimator

    check_estimator(Mine(damping=0.1))

Every law is a function of its own, which raises AssertionError with the numbers that break it.
"""

from __future__ import annotations

from fragility.estimators import Estimator
from fragility.testing.declaration import assert_documented, assert_identity
from fragility.testing.effects import assert_sign, assert_unit
from fragility.testing.problems import convex_problem, general_problems
from fragility.testing.scores import (
    answers,
    assert_deterministic,
    assert_diverged,
    assert_facts,
    assert_groups,
    assert_shape,
    assert_test_points,
    assert_training_order,
    assert_untouched,
)

__all__ = [
    "assert_deterministic",
    "assert_diverged",
    "assert_documented",
    "assert_facts",
    "assert_groups",
    "assert_identity",
    "assert_shape",
    "assert_sign",
    "assert_test_points",
    "assert_training_order",
    "assert_unit",
    "assert_untouched",
    "check_estimator",
]


def check_estimator(
    estimator: Estimator,
    *,
    order_matters: bool = False,
    signed: bool = True,
    unit: bool = True,
) -> None:
    """Holds an estimator against every law, on small problems; takes seconds, without pytest.

    Args:
        estimator: with the fields it is to be checked with.
        order_matters: it draws training examples, or labels of them, by their position, so that
            scores may depend on their order, and have their unit in the mean over draws.
        signed: a positive score says that the example was helping.
        unit: scores are changes of the loss, in its unit, with the 1/n of a removal.

    Raises:
        AssertionError: a law is broken; says which, on which problem, by how much.
    """
    assert_documented(type(estimator))
    assert_identity(estimator)
    answered = [problem for problem in general_problems() if answers(estimator, problem)]
    if not answered:
        raise AssertionError(f"`{estimator.kind}` answers neither classification nor regression.")
    for problem in answered:
        assert_shape(estimator, problem)
        assert_deterministic(estimator, problem)
        assert_test_points(estimator, problem)
        if not order_matters:
            assert_training_order(estimator, problem)
        assert_groups(estimator, problem)
        assert_untouched(estimator, problem)
        assert_facts(estimator, problem)
        assert_diverged(estimator, problem)
    for task in sorted({problem.task for problem in answered}):
        if signed:
            assert_sign(estimator, convex_problem(task))
        if unit:
            assert_unit(estimator, convex_problem(task), order_matters=order_matters)
