"""Nystroem scores against the exact ones, and the laws of the approximation."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from fragility.errors import MethodFailure
from fragility.estimators import nystrom as module
from fragility.estimators.exact import Exact
from fragility.estimators.nystrom import Nystrom
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


def loss_curvature(model: TrainedModel, kind: str) -> torch.Tensor:
    return CurvatureMatrix(model, model.network.layout, kind, False).dense()


@pytest.mark.parametrize("damping", [0.0, 0.01])
@pytest.mark.parametrize("curvature", ["hessian", "gauss_newton", "empirical_fisher"])
@pytest.mark.parametrize("case", ["linear", "mlp"])
def test_the_full_rank_is_exact(case: str, curvature: str, damping: float) -> None:
    """Also of the network's Hessian, which is definite by its penalty alone."""
    model, fields = model_of(case), {"curvature": curvature, "damping": damping}
    exact = Exact.model_validate(fields).estimate(model, ALL_TEST)
    found = Nystrom.model_validate({**fields, "rank": 1000}).estimate(model, ALL_TEST)
    torch.testing.assert_close(found.scores, exact.scores, rtol=1e-6, atol=1e-11)
    assert float(found.by_test_point["relative_residual"].max()) < 1e-10
    bottom = float(torch.linalg.eigvalsh(loss_curvature(model, curvature))[0])
    indefinite = bottom < -1e-3
    assert indefinite == (case == "mlp" and curvature == "hessian")
    diagonal = damping if indefinite else 0.05 + damping
    assert found.diagnostics["nystrom_smallest_diagonal"] == pytest.approx(diagonal)


@pytest.mark.parametrize("name", ["tanh", "convolution", "residual"])
def test_penalties_that_differ_between_parameters(name: str) -> None:
    model, fields = example(name), {"curvature": "gauss_newton", "damping": 0.01}
    points = torch.arange(4)
    exact = Exact.model_validate(fields).estimate(model, points)
    found = Nystrom.model_validate({**fields, "rank": 1000}).estimate(model, points)
    torch.testing.assert_close(found.scores, exact.scores, rtol=1e-6, atol=1e-10)


def test_scores_are_those_of_the_formula(monkeypatch: pytest.MonkeyPatch) -> None:
    model, rank, damping = model_of("mlp"), 12, 0.01
    random = np.random.default_rng(5).standard_normal((rank, model.network.layout.size))
    draws = iter(torch.from_numpy(random))
    monkeypatch.setattr(module, "normal_vectors", lambda seed, like: lambda: next(draws))
    monkeypatch.setattr(module, "CHUNK", 5)
    found = Nystrom(rank=rank, damping=damping, curvature="gauss_newton").estimate(model, ALL_TEST)
    C = loss_curvature(model, "gauss_newton").numpy()
    Y, core = C @ random.T, random @ C @ random.T
    approximate = Y @ np.linalg.pinv(core, hermitian=True) @ Y.T
    test, train = (rows.numpy() for rows in both_gradients(model))
    solution = np.linalg.solve(approximate + (0.05 + damping) * np.eye(len(C)), test.T).T
    np.testing.assert_allclose(
        found.scores.numpy(), solution @ train.T / model.n, rtol=1e-7, atol=1e-11
    )
    left = test - solution @ (C + (0.05 + damping) * np.eye(len(C)))
    residual = np.linalg.norm(left, axis=1) / np.linalg.norm(test, axis=1)
    np.testing.assert_allclose(found.by_test_point["relative_residual"], residual, rtol=1e-6)
    values = np.linalg.eigvalsh(approximate)
    assert found.diagnostics["nystrom_rank"] == rank
    assert found.diagnostics["nystrom_top_eigenvalue"] == pytest.approx(values[-1])
    assert found.diagnostics["nystrom_bottom_eigenvalue"] == pytest.approx(values[-rank])


@settings(max_examples=8)
@given(seed=st.integers(0, 10_000))
def test_scores_of_an_example_for_itself_fall_to_the_exact_ones(seed: int) -> None:
    """g^T (C_r + D)^-1 g: C_r grows with the rank, below C, and so its inverse shrinks."""
    model = model_of("mlp")
    model = replace(model, test_inputs=model.inputs, test_targets=model.targets)
    points = torch.arange(model.n)
    fields = {"curvature": "gauss_newton", "damping": 0.001}
    exact = Exact.model_validate(fields).estimate(model, points).scores.diagonal()
    before = torch.full_like(exact, float("inf"))
    for rank in (1, 2, 5, 10, 20, 30, 39):
        nystrom = Nystrom.model_validate({**fields, "rank": rank, "seed": seed})
        own = nystrom.estimate(model, points).scores.diagonal()
        assert bool((own <= before + 1e-10).all())
        assert bool((own >= exact - 1e-10).all())
        before = own
    torch.testing.assert_close(before, exact, rtol=1e-6, atol=1e-12)


@settings(max_examples=15)
@given(points=st.lists(st.integers(0, 7), min_size=1, max_size=10))
def test_a_test_point_is_scored_alike_in_any_company(points: list[int]) -> None:
    nystrom = Nystrom(rank=6, damping=0.01, seed=3, curvature="gauss_newton")
    model = model_of("mlp")
    whole = nystrom.estimate(model, ALL_TEST).scores
    found = nystrom.estimate(model, torch.tensor(points)).scores
    torch.testing.assert_close(found, whole[points], rtol=1e-9, atol=1e-12)


def test_an_indefinite_hessian_is_refused_and_gauss_newton_recommended() -> None:
    model, points = example("tanh"), torch.arange(4)
    with pytest.raises(MethodFailure, match=r"eigenvalue of -\S+ or less.*`curvature: gauss_newt"):
        Nystrom(damping=1.0).estimate(model, points)
    assert Nystrom(damping=1.0, curvature="gauss_newton").estimate(model, points).diagnostics
    for policy in ("clip", "absolute"):
        with pytest.raises(ValidationError, match="cannot be done by `nystrom`"):
            Nystrom.model_validate({"negative_curvature": policy})


def test_no_damping_needs_the_full_rank() -> None:
    fields = {"curvature": "gauss_newton", "curvature_includes_regularization": False}
    with pytest.raises(MethodFailure, match=r"rank 20 is singular for 39 parameters.*`damping`"):
        Nystrom.model_validate({**fields, "rank": 20}).estimate(model_of("mlp"), ALL_TEST)


def test_too_large_a_sketch_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fragility.estimators._spaces.SPACE_BYTES", 10_000)
    with pytest.raises(MethodFailure, match=r"would hold 50 vectors.*smaller `rank`"):
        Nystrom(rank=10).estimate(model_of("mlp"), ALL_TEST)


def test_the_seed_decides_the_sketch() -> None:
    one, again, other = (
        Nystrom(rank=8, seed=seed).estimate(model_of("linear"), ALL_TEST).scores
        for seed in (0, 0, 1)
    )
    assert torch.equal(one, again)
    assert float((one - other).norm() / one.norm()) > 1e-3
