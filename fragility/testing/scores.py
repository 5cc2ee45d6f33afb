"""Laws of the numbers: what scores are, and what they may depend on."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from fragility.errors import MethodFailure
from fragility.estimators import Estimator
from fragility.numerics.trained import TrainedModel
from fragility.testing.answers import ALL_TEST_POINTS, answer, ask, assert_same, broken
from fragility.testing.problems import N_TEST, Problem, reordered


def answers(estimator: Estimator, problem: Problem) -> bool:
    """Whether there is an answer; what has none says in a MethodFailure what to try instead."""
    try:
        ask(estimator, problem.trained, ALL_TEST_POINTS)
    except MethodFailure as failure:
        if not failure.hint:
            broken(estimator, problem, f"MethodFailure has no hint of what to try: {failure}")
        return False
    return True


def assert_shape(estimator: Estimator, problem: Problem) -> None:
    """Scores are finite floating numbers (test points, training points), without a graph."""
    scores = answer(estimator, problem).scores
    expected = (N_TEST, problem.trained.n)
    if tuple(scores.shape) != expected:
        broken(
            estimator,
            problem,
            f"scores must have the shape {expected}, test points by training points, and have "
            f"{tuple(scores.shape)}.",
        )
    if not scores.is_floating_point():
        broken(estimator, problem, f"scores must be floating numbers, and are {scores.dtype}.")
    if not bool(torch.isfinite(scores).all()):
        count = int((~torch.isfinite(scores)).sum())
        broken(estimator, problem, f"{count} of {scores.numel()} scores are not finite.")
    if scores.requires_grad:
        broken(estimator, problem, "scores hold a graph; call `.detach()`, or use `no_grad`.")


def assert_deterministic(estimator: Estimator, problem: Problem) -> None:
    """The same fields give the same bits, whatever random numbers others have drawn."""
    first = answer(estimator, problem).scores
    again = type(estimator).model_validate_json(estimator.model_dump_json(), strict=True)
    with _other_global_seeds():
        second = answer(again, problem).scores
    if not torch.equal(first, second):
        difference = float((first - second).abs().max())
        broken(
            estimator,
            problem,
            f"two calls must give the same bits, and differ by {difference:.3g}; draw from "
            "generators of your own, seeded by `fragility.identity.derive_seed`.",
        )


def assert_test_points(estimator: Estimator, problem: Problem) -> None:
    """A test point's scores do not depend on the other test points, nor on its place among them."""
    chosen = torch.tensor([3, 0, 2])
    found = answer(estimator, problem, chosen).scores
    expected = answer(estimator, problem).scores[chosen]
    law = f"scores of the test points {chosen.tolist()} must be those rows of all test points'"
    assert_same(estimator, problem, found, expected, law)


def assert_training_order(estimator: Estimator, problem: Problem) -> None:
    """Scores follow the training examples into another order."""
    other, order = reordered(problem)
    found = answer(estimator, other).scores
    expected = answer(estimator, problem).scores[:, order]
    law = "scores must follow the training examples into another order"
    assert_same(estimator, other, found, expected, law)


def assert_groups(estimator: Estimator, problem: Problem) -> None:
    """A group has one finite score: the sum of its members', or what the estimator says it is."""
    groups = [torch.tensor([0, 3, 5]), torch.tensor([1])]
    models = [problem.trained] * estimator.models
    try:
        found = estimator.estimate_groups(models, ALL_TEST_POINTS, groups).scores
    except MethodFailure as failure:
        broken(estimator, problem, f"groups must have an answer too, but it fails: {failure}")
    if tuple(found.shape) != (N_TEST, 2) or not bool(torch.isfinite(found).all()):
        text = f"scores of two groups must be finite, of shape {(N_TEST, 2)}, and are {found}."
        broken(estimator, problem, text)
    if not estimator.scores_groups:
        scores = answer(estimator, problem).scores
        sums = torch.stack([scores[:, group].sum(dim=1) for group in groups], dim=1)
        law = "the score of a group must be the sum of its members' (`scores_groups` is false)"
        assert_same(estimator, problem, found, sums, law)


def assert_untouched(estimator: Estimator, problem: Problem) -> None:
    """An estimate leaves the model, random state and torch's settings as they were."""
    before = _state(problem.trained)
    answer(estimator, problem)
    after = _state(problem.trained)
    changed = [name for name in before if not _equal(before[name], after[name])]
    if changed:
        broken(
            estimator,
            problem,
            f"an estimate must change nothing, and has changed {', '.join(changed)}.",
        )


def assert_facts(estimator: Estimator, problem: Problem) -> None:
    """Diagnostics are finite numbers, and facts of test points tensors (T,) of them."""
    estimate = answer(estimator, problem)
    for name, value in estimate.diagnostics.items():
        if not isinstance(value, (int, float)) or not math.isfinite(value):
            text = f"the diagnostic `{name}` must be a finite number or absent, and is {value!r}."
            broken(estimator, problem, text)
    for name, values in estimate.by_test_point.items():
        if tuple(values.shape) != (N_TEST,) or not bool(torch.isfinite(values).all()):
            text = f"`{name}` must be a finite number for each of {N_TEST} test points: {values}."
            broken(estimator, problem, text)


def assert_diverged(estimator: Estimator, problem: Problem) -> None:
    """A model with NaN parameters is a MethodFailure; what looks at no parameters may answer."""
    model = problem.trained
    nan = {name: torch.full_like(value, torch.nan) for name, value in model.parameters.items()}
    try:
        scores = ask(estimator, replace(model, parameters=nan), ALL_TEST_POINTS).scores
    except MethodFailure:
        return
    if estimator.scored is not None or not bool(torch.isfinite(scores).all()):
        broken(
            estimator,
            problem,
            "a model whose parameters are NaN must be a MethodFailure, and has scores: "
            f"{int(torch.isnan(scores).sum())} of {scores.numel()} are NaN.",
        )


def _state(model: TrainedModel) -> dict[str, object]:
    """Returns what an estimate could change, by name."""
    module = model.network.module
    tensors = {
        **{f"the parameter `{name}`": value for name, value in model.parameters.items()},
        "the training inputs": model.inputs,
        "the training targets": model.targets,
        "the test inputs": model.test_inputs,
        "the test targets": model.test_targets,
        **{f"the module's `{name}`": value for name, value in module.state_dict().items()},
    }
    return {
        **{name: value.clone() for name, value in tensors.items()},
        "`requires_grad` of a tensor": [
            value.requires_grad for value in (*model.parameters.values(), *module.parameters())
        ],
        "`grad` of a parameter": [value.grad is None for value in module.parameters()],
        "`training` of a module": [part.training for part in module.modules()],
        "hooks of a module": [
            len(part._forward_hooks) + len(part._forward_pre_hooks) + len(part._backward_hooks)
            for part in module.modules()
        ],
        "torch's global random state": torch.random.get_rng_state(),
        "numpy's global random state": _numpy_state(),
        "Python's global random state": random.getstate(),
        "the gradient mode": torch.is_grad_enabled(),
        "torch's default dtype": torch.get_default_dtype(),
        "torch's deterministic mode": torch.are_deterministic_algorithms_enabled(),
        "torch's number of threads": torch.get_num_threads(),
    }


def _numpy_state() -> list[object]:
    """Returns numpy's global random state in values that can be compared."""
    return [
        part.tolist() if isinstance(part, np.ndarray) else part for part in np.random.get_state()
    ]


def _equal(before: object, after: object) -> bool:
    if isinstance(before, Tensor) and isinstance(after, Tensor):
        return before.dtype == after.dtype and torch.equal(before, after)
    return before == after


@contextmanager
def _other_global_seeds() -> Iterator[None]:
    """Seeds the global generators otherwise for a while."""
    numpy, python = np.random.get_state(), random.getstate()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        np.random.seed(1)
        random.seed(1)
        try:
            yield
        finally:
            np.random.set_state(numpy)
            random.setstate(python)
