"""LiSSA against the exact scores, its rate, its noise, and what it refuses."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from fragility.errors import MethodFailure
from fragility.estimators.exact import Exact
from fragility.estimators.lissa import LiSSA
from fragility.models.linear import Linear
from fragility.models.mlp import MLP
from fragility.numerics.curvature import CurvatureMatrix
from fragility.numerics.trained import TrainedModel
from fragility.regularizers.weight_decay import WeightDecay
from tests.estimators.brute_force import both_gradients
from tests.numerics.networks import example
from tests.problems import trained

ALL_TEST = torch.arange(8)


@cache
def model_of(case: str) -> TrainedModel:
    model = Linear() if case == "linear" else MLP(hidden=(4,), activation="tanh")
    return trained(model, "classification", WeightDecay(strength=0.05))


def dense(model: TrainedModel, kind: str = "hessian") -> np.ndarray:
    return CurvatureMatrix(model, model.network.layout, kind).dense().numpy()


def error(found: torch.Tensor, exact: torch.Tensor) -> float:
    return float((found - exact).norm() / exact.norm())


@pytest.mark.parametrize("curvature", ["hessian", "gauss_newton", "empirical_fisher"])
@pytest.mark.parametrize("case", ["linear", "mlp"])
def test_scores_converge_geometrically_to_the_exact_ones(case: str, curvature: str) -> None:
    """The residual falls at least as fast as the slowest eigenvalue of the dense matrix lets it."""
    model, fields = model_of(case), {"curvature": curvature, "damping": 0.05}
    exact = Exact.model_validate(fields).estimate(model, ALL_TEST).scores
    values = np.linalg.eigvalsh(dense(model, curvature)) + 0.05
    for depth in (5, 20, 80, 320):
        found = LiSSA.model_validate({**fields, "depth": depth}).estimate(model, ALL_TEST)
        scale = found.diagnostics["lissa_scale"]
        assert values[-1] <= scale <= 1.1 * values[-1] * (1 + 1e-12)
        rate = 1 - values[0] / scale
        residual = found.by_test_point["relative_residual"]
        assert float(residual.max()) <= rate**depth + 1e-13
    assert error(found.scores, exact) < 1e-6
    assert found.diagnostics["lissa_steps"] == 320


@pytest.mark.parametrize("name", ["tanh", "convolution", "residual"])
def test_networks_with_an_indefinite_hessian_and_enough_damping(name: str) -> None:
    model, points = example(name), torch.arange(4)
    damping = 0.3 - float(np.linalg.eigvalsh(dense(model))[0])
    exact = Exact(damping=damping).estimate(model, points).scores
    found = LiSSA(damping=damping, depth=150).estimate(model, points).scores
    assert error(found, exact) < 1e-6


def test_few_steps_are_a_polynomial_of_the_dense_matrix() -> None:
    """Also for a scale that is given, and with the penalty left out."""
    model, depth, scale, damping = model_of("mlp"), 7, 1.7, 0.03
    found = LiSSA(
        depth=depth, scale=scale, damping=damping, curvature_includes_regularization=False
    ).estimate(model, ALL_TEST)
    A = dense(model) + (damping - 0.05) * np.eye(39)
    test, train = (rows.numpy() for rows in both_gradients(model))
    solution = np.zeros_like(test)
    for _ in range(depth):
        solution = solution + (test - solution @ A) / scale
    np.testing.assert_allclose(
        found.scores.numpy(), solution @ train.T / model.n, rtol=1e-9, atol=1e-13
    )
    left = np.linalg.norm(test - solution @ A, axis=1) / np.linalg.norm(test, axis=1)
    np.testing.assert_allclose(found.by_test_point["relative_residual"], left, rtol=1e-9)


BATCHES = {"damping": 0.2, "batch_size": 20, "depth": 40, "scale": 1.0}


@pytest.mark.parametrize("curvature", ["hessian", "empirical_fisher"])
def test_the_mean_over_seeds_approaches_the_exact_scores(curvature: str) -> None:
    """Within the standard error of each score, which is a few percent of the scores."""
    model, fields = model_of("linear"), {**BATCHES, "curvature": curvature}
    exact = Exact.model_validate({"curvature": curvature, "damping": 0.2})
    wanted = exact.estimate(model, ALL_TEST).scores
    draws = torch.stack(
        [
            LiSSA.model_validate({**fields, "seed": seed}).estimate(model, ALL_TEST).scores
            for seed in range(40)
        ]
    )
    mean, deviation = draws.mean(dim=0), draws.std(dim=0) / len(draws) ** 0.5
    assert float(deviation.norm() / wanted.norm()) < 0.03
    z = (mean - wanted) / deviation
    assert float(z.square().mean()) < 2
    assert float(z.abs().max()) < 5


def test_repeats_average_independent_runs() -> None:
    model = model_of("linear")
    exact = Exact(damping=0.2).estimate(model, ALL_TEST).scores

    def squared(repeats: int, seed: int) -> float:
        lissa = LiSSA.model_validate({**BATCHES, "repeats": repeats, "seed": seed})
        return error(lissa.estimate(model, ALL_TEST).scores, exact) ** 2

    single = np.mean([squared(1, seed) for seed in range(8)])
    averaged = np.mean([squared(8, seed) for seed in range(3)])
    assert 4 < single / averaged < 16


def test_the_residual_of_batches_is_that_of_all_examples() -> None:
    model = model_of("linear")
    found = LiSSA.model_validate(BATCHES).estimate(model, ALL_TEST)
    A = dense(model) + 0.2 * np.eye(18)
    test, train = (rows.numpy() for rows in both_gradients(model))
    # The scores are linear in the solutions: from enough training points these follow.
    moved = np.linalg.lstsq(train, found.scores.numpy().T * model.n, rcond=1e-10)[0].T
    exact = np.linalg.solve(A, test.T).T
    inside = np.linalg.lstsq(train, train @ exact.T, rcond=1e-10)[0].T
    left = (inside - moved) @ A
    residual = np.linalg.norm(left, axis=1) / np.linalg.norm(test, axis=1)
    np.testing.assert_allclose(found.by_test_point["relative_residual"], residual, rtol=1e-6)


def test_a_batch_of_everything_is_no_batch() -> None:
    model = model_of("mlp")
    whole = LiSSA(depth=10).estimate(model, ALL_TEST)
    batch = LiSSA(depth=10, batch_size=40, repeats=3).estimate(model, ALL_TEST)
    assert torch.equal(whole.scores, batch.scores)
    assert batch.diagnostics["lissa_steps"] == 10


def test_the_scale_heeds_the_curvature_of_batches() -> None:
    """One example curves more along its own direction than the mean does."""
    model = model_of("mlp")
    fields = {"depth": 30, "damping": 0.05, "curvature": "gauss_newton"}
    scales = [
        LiSSA.model_validate({**fields, "batch_size": size})
        .estimate(model, ALL_TEST)
        .diagnostics["lissa_scale"]
        for size in (1, 10, None)
    ]
    assert scales[0] > 1.5 * scales[1] > 1.5 * scales[2]


@settings(max_examples=10)
@given(points=st.lists(st.integers(0, 7), min_size=1, max_size=10))
def test_a_test_point_is_scored_alike_in_any_company(points: list[int]) -> None:
    lissa, model = LiSSA(depth=5, damping=0.05, batch_size=7, scale=4.0), model_of("linear")
    whole = lissa.estimate(model, ALL_TEST).scores
    found = lissa.estimate(model, torch.tensor(points)).scores
    torch.testing.assert_close(found, whole[points], rtol=1e-9, atol=1e-13)


def test_too_small_a_scale_is_refused_with_the_eigenvalue_it_has_to_exceed() -> None:
    model = model_of("mlp")
    top = np.linalg.eigvalsh(dense(model))[-1] + 0.05
    for batch_size in (None, 10):
        lissa = LiSSA(damping=0.05, scale=0.49 * top, batch_size=batch_size)
        with pytest.raises(MethodFailure, match=f"is not above half of {top:.3g}, the top"):
            lissa.estimate(model, ALL_TEST)
    found = LiSSA(damping=0.05, scale=0.52 * top, depth=250).estimate(model, ALL_TEST)
    assert error(found.scores, Exact(damping=0.05).estimate(model, ALL_TEST).scores) < 1e-6


def test_batches_that_curve_more_than_the_scale_allows_diverge() -> None:
    model = model_of("mlp")
    top = np.linalg.eigvalsh(dense(model, "gauss_newton"))[-1]
    lissa = LiSSA(scale=0.51 * top, batch_size=1, curvature="gauss_newton")
    with pytest.raises(MethodFailure, match=r"diverged at step \d+ of 1,000 .*larger `scale`"):
        lissa.estimate(model, ALL_TEST)


def test_negative_curvature_makes_it_diverge_and_can_be_refused() -> None:
    model, points = example("tanh"), torch.arange(4)
    bottom = np.linalg.eigvalsh(dense(model))[0]
    assert bottom < -1e-3
    with pytest.raises(MethodFailure, match=rf"diverged at step .*`damping` above {-bottom:.2g}"):
        LiSSA(damping=-bottom / 2, depth=100_000).estimate(model, points)
    with pytest.raises(MethodFailure, match=rf"has an eigenvalue of {bottom:.2g} or less"):
        LiSSA(damping=1.0, negative_curvature="error").estimate(model, points)
    for policy in ("clip", "absolute"):
        with pytest.raises(ValidationError, match="needs eigenvalues, which `lissa` does not"):
            LiSSA.model_validate({"negative_curvature": policy})


def test_a_definite_curvature_is_not_refused() -> None:
    model = model_of("linear")
    fields = {"curvature_includes_regularization": False, "damping": 0.1, "depth": 5}
    kept = LiSSA.model_validate(fields).estimate(model, ALL_TEST)
    found = LiSSA.model_validate({**fields, "negative_curvature": "error"})
    assert torch.equal(found.estimate(model, ALL_TEST).scores, kept.scores)


def test_single_precision() -> None:
    model = model_of("mlp")
    exact = Exact(damping=0.05).estimate(model, ALL_TEST).scores
    found = LiSSA(damping=0.05, depth=300, dtype="float32").estimate(model, ALL_TEST)
    assert found.scores.dtype == torch.float32
    assert error(found.scores.double(), exact) < 1e-4
