"""The ladder of truths: neighbours differ by one thing, and agree where that thing is absent."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fragility.models.mlp import MLP
from fragility.numerics.stack import Anchor, StackProblem
from fragility.numerics.trained import TrainedModel
from fragility.regularizers.weight_decay import WeightDecay
from fragility.training import Recorder, Start
from fragility.training.full_batch import FullBatch
from tests.numerics.networks import autograd_jacobian
from tests.problems import converging, trained
from tests.tiny import RIDGE, TINY, changed, rows, run

POINTS = {"train_points": {"kind": "all"}, "test_points": {"kind": "all"}}
LOO: dict[str, Any] = {"kind": "leave_one_out", "removal": "zero_weight", **POINTS}
NEAR: dict[str, Any] = {"kind": "proximal", "gradient_norm": 1e-11, **POINTS}
DAMPING = 0.05
CONVEX = changed(
    TINY,
    {
        "models": {"linear": {"kind": "linear"}},
        "training": RIDGE["training"],
        "estimators": {"exact": {"kind": "exact"}, "damped": {"kind": "exact", "damping": DAMPING}},
        "procedures": {
            "linear": {"kind": "linear_response", **POINTS},
            "damped": {"kind": "linear_response", "damping": DAMPING, **POINTS},
            "pbrf": {**NEAR, "kind": "pbrf", "damping": DAMPING},
            "near": {**NEAR, "damping": DAMPING},
            "nearly": {**NEAR, "damping": 1e-9},
            "warm": LOO,
            "cold": {**LOO, "start": "cold"},
        },
    },
)


@pytest.fixture(scope="module")
def convex(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("convex")
    summary = run(CONVEX, root)
    assert (summary.failed, summary.skipped) == (0, 0)
    return root


def effects(root: Path, procedure: str) -> np.ndarray:
    """Effects in the order of test and training points."""
    sql = (
        "SELECT effect FROM effects WHERE removal = 'point'"
        f" AND procedure = '{procedure}' ORDER BY cell_id, test_point, train_point"
    )
    return np.ravel(rows(root, sql))


def scores(root: Path, estimator: str) -> np.ndarray:
    sql = (
        f"SELECT score FROM scores WHERE estimator = '{estimator}'"
        " ORDER BY cell_id, test_point, train_point"
    )
    return np.ravel(rows(root, sql))


@pytest.mark.parametrize(("estimator", "procedure"), [("exact", "linear"), ("damped", "damped")])
def test_the_linear_response_is_what_the_exact_score_says(
    convex: Path, estimator: str, procedure: str
) -> None:
    np.testing.assert_allclose(
        effects(convex, procedure), scores(convex, estimator), rtol=1e-7, atol=1e-12
    )


def test_at_a_convex_optimum_proximal_warm_and_cold_truths_agree(convex: Path) -> None:
    warm = effects(convex, "warm")
    for procedure in ("nearly", "cold"):
        assert np.corrcoef(warm, effects(convex, procedure))[0, 1] > 0.9999
        np.testing.assert_allclose(effects(convex, procedure), warm, rtol=1e-4, atol=1e-9)


def test_at_the_optimum_of_a_linear_model_divergences_are_the_losses(convex: Path) -> None:
    """Outputs are linear in the parameters there, so that tilting them tilts the parameters."""
    np.testing.assert_allclose(effects(convex, "pbrf"), effects(convex, "near"), atol=1e-9)


def test_the_steps_of_the_ladder_sum_to_the_gap(convex: Path) -> None:
    ladder = ["damped", "pbrf", "near", "warm", "cold"]
    found = [scores(convex, "damped"), *(effects(convex, name) for name in ladder)]
    steps = sum(b - a for a, b in pairwise(found))
    np.testing.assert_allclose(steps, found[-1] - found[0], atol=1e-12)


def test_placebos_of_a_base_model_at_rest_do_not_move(convex: Path) -> None:
    sql = (
        "SELECT max(abs(effect)) FROM effects WHERE removal = 'placebo' AND procedure IN"
        " ('linear', 'damped', 'pbrf')"
    )
    assert rows(convex, sql) == [(0.0,)]
    sql = "SELECT max(abs(effect)) FROM effects WHERE removal = 'placebo'"
    assert rows(convex, sql)[0][0] < 1e-9


def test_pbrf_stays_where_an_unfinished_network_is_and_proximal_does_not(tmp_path: Path) -> None:
    study = changed(
        TINY,
        {
            "procedures": {
                "pbrf": {"kind": "pbrf", "damping": 0.1, **POINTS},
                "near": {"kind": "proximal", "damping": 0.1, **POINTS},
            }
        },
    )
    summary = run(study, tmp_path)
    assert (summary.failed, summary.skipped) == (0, 0)
    sql = "SELECT procedure, max(abs(effect)) FROM effects WHERE removal = 'placebo' GROUP BY 1"
    moved = dict(rows(tmp_path, sql))
    assert moved["pbrf"] == 0
    assert moved["near"] > 1e-3
    unfinished = rows(tmp_path, "SELECT count(*) FROM trainings WHERE NOT converged")
    assert unfinished == [(0,)]


def test_pbrf_of_float32_models_is_measured_in_float64(tmp_path: Path) -> None:
    study = changed(
        TINY,
        {
            "training.adam.dtype": "float32",
            "procedures": {"pbrf": {"kind": "pbrf", "damping": 0.1, **POINTS}},
        },
    )
    run(study, tmp_path)
    sql = "SELECT max(abs(effect)), max(before) FROM effects WHERE removal = 'placebo'"
    ((drift, before),) = rows(tmp_path, sql)
    assert drift == 0
    assert before != float(np.float32(before))


def test_frozen_is_the_last_layer_by_newton(tmp_path: Path) -> None:
    newton = {**LOO, "parameters": "last_layer", "solver": "newton", "gradient_norm": 1e-10}
    frozen = {"kind": "frozen", "removal": "zero_weight", **POINTS}
    study = changed(TINY, {"procedures": {"frozen": frozen, "newton": newton}})
    run(study, tmp_path)
    np.testing.assert_allclose(
        effects(tmp_path, "frozen"), effects(tmp_path, "newton"), rtol=1e-7, atol=1e-11
    )
    ((estimator, words),) = rows(tmp_path, "SELECT DISTINCT estimator, mismatch FROM arms")
    assert (estimator, words) == ("exact", "target mismatch: score all, truth last_layer")


def unfinished() -> TrainedModel:
    training = converging().model_copy(update={"steps": 4})
    model = MLP(hidden=(4,), activation="tanh")
    return trained(model, "classification", WeightDecay(strength=0.05), training=training)


def test_as_the_step_goes_to_zero_pbrf_is_damped_gauss_newton_influence() -> None:
    """Moves one example's weight a little, both ways, in the objective of the response."""
    model, damping, step = unfinished(), 0.02, 1e-4
    layout = model.network.layout
    base = model.vector(layout)
    n = model.n
    outputs = model.network(model.parameters, model.inputs).detach().requires_grad_()
    losses = model.loss.per_example(outputs, model.targets).sum()
    (slope,) = torch.autograd.grad(losses, outputs)
    weights = torch.full((2, n), 1 / n, dtype=torch.float64)
    weights[0, 3] -= step
    weights[1, 3] += step
    decay = model.decay_vector(layout)
    anchor = Anchor(
        base.expand(2, -1), (decay + damping).expand(2, -1), slope[None] / n, torch.zeros(2).long()
    )
    problem = StackProblem(
        model.network, model.loss, layout, {}, model.inputs, model.targets, weights,
        torch.zeros(2, layout.size, dtype=torch.float64), anchor=anchor,
    )  # fmt: skip
    training = FullBatch.model_validate({**converging().model_dump(), "gradient_norm": 1e-12})
    fit = training.fit([training] * 2, problem, Start(base.expand(2, -1)), Recorder())
    moved = (fit.theta[0] - fit.theta[1]) / (2 * step)
    J = autograd_jacobian(model)
    L = model.loss.output_curvature(outputs.detach())
    G = torch.einsum("nip,nij,njq->pq", J, L, J) / n + torch.diag(decay + damping)
    gradient = J[3].T @ slope[3]
    expected = torch.linalg.solve(G, gradient)
    torch.testing.assert_close(moved, expected, rtol=1e-5, atol=1e-7)


def test_the_linearization_error_shrinks_with_the_dose() -> None:
    """Of the optimum against its linear response: the error of a step falls with its square."""
    model, damping = unfinished(), 0.1
    layout, n = model.network.layout, 40
    base = model.vector(layout)
    outputs = model.network(model.parameters, model.inputs).detach().requires_grad_()
    (slope,) = torch.autograd.grad(model.loss.per_example(outputs, model.targets).sum(), outputs)
    doses = [1.0, 0.5, 0.25, 0.125]
    weights = torch.full((len(doses), n), 1 / n, dtype=torch.float64)
    for row, dose in enumerate(doses):
        weights[row, 3] *= 1 - dose
    decay = model.decay_vector(layout)
    anchor = Anchor(
        base.expand(4, -1), (decay + damping).expand(4, -1), slope[None] / n, torch.zeros(4).long()
    )
    problem = StackProblem(
        model.network, model.loss, layout, {}, model.inputs, model.targets, weights,
        torch.zeros(4, layout.size, dtype=torch.float64), anchor=anchor,
    )  # fmt: skip
    training = FullBatch.model_validate({**converging().model_dump(), "gradient_norm": 1e-12})
    fit = training.fit([training] * 4, problem, Start(base.expand(4, -1)), Recorder())
    J = autograd_jacobian(replace(model))
    L = model.loss.output_curvature(outputs.detach())
    G = torch.einsum("nip,nij,njq->pq", J, L, J) / n + torch.diag(decay + damping)
    linear = torch.linalg.solve(G, J[3].T @ slope[3]) / n
    errors = [
        float((fit.theta[row] - base - dose * linear).norm()) for row, dose in enumerate(doses)
    ]
    ratios = [a / b for a, b in pairwise(errors)]
    assert all(3.3 < ratio < 4.7 for ratio in ratios)
