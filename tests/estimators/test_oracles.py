"""Influence functions against matrices that curvlinops computes, and solutions of scipy's."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import torch
from scipy.sparse.linalg import cg as scipy_cg
from torch import nn

from fragility.estimators.cg import CG
from fragility.estimators.ekfac import EKFAC
from fragility.estimators.exact import Exact
from fragility.estimators.kfac import KFAC
from fragility.estimators.kronfluence import module_of
from fragility.numerics.curvature import Curvature, CurvatureMatrix
from fragility.numerics.trained import TrainedModel
from tests.estimators.peers import fitted, train_and_test_gradients
from tests.numerics.networks import example

OPERATORS = {
    "hessian": "HessianLinearOperator",
    "gauss_newton": "GGNLinearOperator",
    "empirical_fisher": "EFLinearOperator",
}
UNTRAINED = [
    (name, task)
    for name in ("relu", "convolution", "pooling", "residual")
    for task in ("classification", "regression")
]
MODELS = [("mlp", "classification"), ("mlp-regression", "regression"), *UNTRAINED]


def model_of(name: str, task: str) -> TrainedModel:
    return fitted(name) if name.startswith("mlp") else example(name, task)


def dense(model: TrainedModel, operator: str, **settings: Any) -> torch.Tensor:
    """A curvature matrix of the mean loss, in blocks of 7 examples, by curvlinops."""
    classes = model.targets.dim() == 1
    loss = nn.CrossEntropyLoss(reduction="sum") if classes else nn.MSELoss(reduction="sum")
    module = module_of(model)
    data = list(zip(model.inputs.split(7), model.targets.split(7), strict=True))
    with warnings.catch_warnings():
        # curvlinops' dependencies and torch's own `jvp` use what torch deprecates.
        warnings.simplefilter("ignore")
        import curvlinops

        matrix = getattr(curvlinops, operator)(
            module, loss, list(module.parameters()), data, check_deterministic=False, **settings
        ) @ torch.eye(model.network.layout.size, dtype=torch.float64)
    return matrix.detach() / model.n


def scores(model: TrainedModel, matrix: torch.Tensor) -> torch.Tensor:
    """The scores that belong to a damped curvature matrix."""
    train, test = train_and_test_gradients(model)
    return test @ torch.linalg.solve(matrix, train.T) / model.n


def added(model: TrainedModel, damping: float) -> torch.Tensor:
    return torch.diag(model.decay_vector(model.network.layout) + damping)


@pytest.mark.parametrize("curvature", OPERATORS)
@pytest.mark.parametrize(("name", "task"), MODELS)
def test_exact_has_the_matrix_of_curvlinops(name: str, task: str, curvature: Curvature) -> None:
    model = model_of(name, task)
    layout = model.network.layout
    ours = CurvatureMatrix(model, layout, curvature, includes_regularization=False)
    theirs = dense(model, OPERATORS[curvature])
    torch.testing.assert_close(ours.dense(), theirs, rtol=1e-9, atol=1e-13)
    directions = torch.eye(layout.size, dtype=torch.float64)[:5] + 1
    torch.testing.assert_close(ours.product(directions), directions @ theirs, rtol=1e-9, atol=1e-12)
    found = Exact(curvature=curvature, damping=0.3).estimate(
        model, torch.arange(len(model.test_inputs))
    )
    torch.testing.assert_close(
        found.scores, scores(model, theirs + added(model, 0.3)), rtol=1e-8, atol=1e-11
    )


@pytest.mark.parametrize("labels", ["expected", "observed"])
@pytest.mark.parametrize("kind", ["kfac", "ekfac"])
@pytest.mark.parametrize(("name", "task"), MODELS[:-2])
def test_kronecker_factors_are_those_of_curvlinops(
    name: str, task: str, kind: str, labels: str
) -> None:
    model = model_of(name, task)
    theirs = dense(
        model,
        f"{kind.upper()}LinearOperator",
        fisher_type={"expected": "type-2", "observed": "empirical"}[labels],
        separate_weight_and_bias=False,
    )
    estimator = {"kfac": KFAC, "ekfac": EKFAC}[kind].model_validate(
        {"labels": labels, "damping": 0.01, "curvature_includes_regularization": False}
    )
    found = estimator.estimate(model, torch.arange(len(model.test_inputs))).scores
    damped = theirs + 0.01 * torch.eye(len(theirs), dtype=theirs.dtype)
    torch.testing.assert_close(found, scores(model, damped), rtol=1e-8, atol=1e-11)


@pytest.mark.parametrize("name", ["mlp", "mlp-regression"])
def test_cg_solves_what_scipy_solves(name: str) -> None:
    model = fitted(name)
    matrix = (dense(model, "HessianLinearOperator") + added(model, 0.01)).numpy()
    train, test = (gradients.numpy() for gradients in train_and_test_gradients(model))
    solutions = []
    for row in test:
        solution, failed = scipy_cg(matrix, row, rtol=1e-12, maxiter=10_000)
        assert failed == 0
        solutions.append(solution)
    expected = np.stack(solutions) @ train.T / model.n
    found = CG(damping=0.01, tolerance=1e-12).estimate(model, torch.arange(8)).scores
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-7, atol=1e-11)
