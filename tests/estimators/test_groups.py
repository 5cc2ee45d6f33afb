"""Scores of groups, against ridge regression without them in closed form."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fragility.estimators.cg import CG
from fragility.estimators.exact import Exact
from fragility.models.linear import Linear
from fragility.numerics.trained import TrainedModel
from fragility.regularizers.weight_decay import WeightDecay
from tests.problems import converging, fit_stack, test_losses, trained, with_parameters

STRENGTH = 0.1
ALL_TEST = torch.arange(8)


def ridge(n: int = 40) -> TrainedModel:
    return trained(Linear(), "regression", WeightDecay(strength=STRENGTH), n=n, outputs=1)


def design(inputs: torch.Tensor) -> np.ndarray:
    return np.hstack([inputs.numpy(), np.ones((len(inputs), 1))])


def orders(model: TrainedModel, group: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How far ridge moves to first and to second order, written out in numpy."""
    X, y = design(model.inputs), model.targets.numpy()[:, 0]
    n = len(X)
    H = 2 * X.T @ X / n + STRENGTH * np.eye(X.shape[1])
    beta = np.linalg.solve(H, 2 * X.T @ y / n)
    pull = 2 * ((X[group] @ beta - y[group])[:, None] * X[group]).sum(axis=0)
    first = np.linalg.solve(H, pull) / n
    own = 2 * X[group].T @ X[group] / n
    return first, np.linalg.solve(H, own @ first)


@pytest.mark.parametrize("kind", [Exact, CG])
def test_second_order_scores_of_ridge_regression_written_out(kind: type) -> None:
    model = ridge()
    groups = [np.array([0]), np.array([1, 5, 9]), np.arange(20)]
    fields = {"tolerance": 1e-12} if kind is CG else {}
    found = kind(groups="second_order", **fields).estimate_groups(
        [model], ALL_TEST, [torch.from_numpy(g) for g in groups]
    )
    A, b = design(model.test_inputs), model.test_targets.numpy()[:, 0]
    X, y = design(model.inputs), model.targets.numpy()[:, 0]
    H = 2 * X.T @ X / len(X) + STRENGTH * np.eye(X.shape[1])
    beta = np.linalg.solve(H, 2 * X.T @ y / len(X))
    gradients = 2 * (A @ beta - b)[:, None] * A
    expected = np.stack([gradients @ sum(orders(model, group)) for group in groups], axis=1)
    np.testing.assert_allclose(found.scores.numpy(), expected, rtol=1e-7, atol=1e-10)


def test_the_sum_is_the_first_order() -> None:
    model = ridge()
    groups = [torch.tensor([3]), torch.tensor([1, 5, 9])]
    points = Exact().estimate(model, ALL_TEST).scores
    sums = Exact().estimate_groups([model], ALL_TEST, groups).scores
    torch.testing.assert_close(sums[:, 1], points[:, 1] + points[:, 5] + points[:, 9])
    torch.testing.assert_close(sums[:, 0], points[:, 3])
    assert not Exact().scores_groups
    assert Exact(groups="second_order").scores_groups


def test_second_order_predicts_retrained_optima_better() -> None:
    """Against retraining without the group, by weight zero, to the optimum of a convex model."""
    model = trained(Linear(), "classification", WeightDecay(strength=0.3), n=60)
    generator = torch.Generator().manual_seed(0)
    groups = [torch.randperm(60, generator=generator)[:size] for size in (2, 6, 12, 20) * 4]
    weights = torch.full((len(groups), 60), 1 / 60, dtype=torch.float64)
    for row, group in enumerate(groups):
        weights[row, group] = 0
    fit = fit_stack(model, weights, converging())
    after = torch.stack([test_losses(with_parameters(model, theta)) for theta in fit.theta])
    effects = (after - test_losses(model)).T
    first = Exact().estimate_groups([model], ALL_TEST, groups).scores
    second = Exact(groups="second_order").estimate_groups([model], ALL_TEST, groups).scores
    error_first = (first - effects).norm(dim=0)
    error_second = (second - effects).norm(dim=0)
    large = torch.tensor([len(group) >= 6 for group in groups])
    assert float((error_second / error_first)[large].median()) < 0.6
    assert float(error_second.norm()) < 0.6 * float(error_first.norm())
