"""Arnoldi scores against the exact ones and against scipy's eigenvectors."""

from __future__ import annotations

from functools import cache
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy.sparse.linalg import eigsh

from fragility.errors import MethodFailure
from fragility.estimators.arnoldi import Arnoldi
from fragility.estimators.exact import Exact
from fragility.models.linear import Linear
from fragility.models.mlp import MLP
from fragility.numerics.trained import TrainedModel
from fragility.regularizers.weight_decay import WeightDecay
from tests.estimators.brute_force import both_gradients
from tests.numerics.networks import autograd_hessian, example
from tests.problems import trained

ALL_TEST = torch.arange(8)


@cache
def model_of(case: str) -> TrainedModel:
    model = Linear() if case == "linear" else MLP(hidden=(4,), activation="tanh")
    return trained(model, "classification", WeightDecay(strength=0.05))


def hessian(model: TrainedModel) -> torch.Tensor:
    return autograd_hessian(model) + torch.diag(model.decay_vector(model.network.layout))


@pytest.mark.parametrize("curvature", ["hessian", "gauss_newton", "empirical_fisher"])
@pytest.mark.parametrize("case", ["linear", "mlp"])
def test_the_full_rank_is_exact(case: str, curvature: str) -> None:
    model, fields = model_of(case), {"curvature": curvature, "damping": 0.01}
    exact = Exact.model_validate(fields).estimate(model, ALL_TEST)
    found = Arnoldi.model_validate({**fields, "rank": 1000}).estimate(model, ALL_TEST)
    torch.testing.assert_close(found.scores, exact.scores, rtol=1e-6, atol=1e-12)
    assert float(found.by_test_point["relative_residual"].max()) < 1e-12
    torch.testing.assert_close(
        found.by_test_point["gradient_share_inside"], torch.ones(8, dtype=torch.float64)
    )


@pytest.mark.parametrize("policy", ["keep", "clip", "absolute"])
@pytest.mark.parametrize("name", ["tanh", "convolution", "residual", "normalized"])
def test_the_full_rank_is_exact_for_an_indefinite_hessian(name: str, policy: str) -> None:
    model = example(name)
    values = torch.linalg.eigvalsh(hessian(model))
    assert float(values[0]) < -1e-3
    points, fields = torch.arange(4), {"damping": 0.02, "negative_curvature": policy}
    exact = Exact.model_validate(fields).estimate(model, points)
    found = Arnoldi.model_validate({**fields, "rank": 1000}).estimate(model, points)
    torch.testing.assert_close(found.scores, exact.scores, rtol=1e-6, atol=1e-11)
    assert ("relative_residual" in found.by_test_point) == (policy == "keep")
    assert found.diagnostics["arnoldi_negative_kept"] == int((values < -1e-9).sum())


def test_scores_are_those_of_the_eigenvectors_that_scipy_finds() -> None:
    model, rank, damping = example("residual"), 5, 0.05
    H = hessian(model)
    values, vectors = eigsh(H.numpy(), k=rank, which="LM", v0=np.ones(len(H)))
    test, train = (rows.numpy() @ vectors for rows in both_gradients(model))
    expected = test / (values + damping) @ train.T / model.n
    found = Arnoldi(rank=rank, krylov=36, damping=damping).estimate(model, torch.arange(4))
    np.testing.assert_allclose(found.scores.numpy(), expected, rtol=1e-6, atol=1e-10)
    whole = both_gradients(model)[0].numpy()
    share = np.square(test).sum(axis=1) / np.square(whole).sum(axis=1)
    facts = {name: value.numpy() for name, value in found.by_test_point.items()}
    np.testing.assert_allclose(facts["gradient_share_inside"], share, rtol=1e-6)
    solution = test / (values + damping) @ vectors.T
    left = whole - solution @ (H.numpy() + damping * np.eye(len(H)))
    residual = np.linalg.norm(left, axis=1) / np.linalg.norm(whole, axis=1)
    np.testing.assert_allclose(facts["relative_residual"], residual, rtol=1e-6)
    ends = torch.linalg.eigvalsh(H)[[0, -1]].tolist()
    assert found.diagnostics["curvature_bottom_eigenvalue"] == pytest.approx(ends[0])
    assert found.diagnostics["curvature_top_eigenvalue"] == pytest.approx(ends[1])
    assert found.diagnostics["arnoldi_smallest_kept"] == pytest.approx(
        min(values, key=abs), rel=1e-6
    )


def test_the_residual_falls_with_the_rank() -> None:
    """What is left of b is the part outside of the kept eigenvectors: it can only shrink."""
    residuals = []
    for rank in (1, 5, 10, 20, 39):
        found = Arnoldi(rank=rank, krylov=39, damping=0.01).estimate(model_of("mlp"), ALL_TEST)
        left = 1 - found.by_test_point["gradient_share_inside"]
        residuals.append(found.by_test_point["relative_residual"])
        torch.testing.assert_close(residuals[-1].square(), left, rtol=1e-6, atol=1e-12)
    assert all(bool((a >= b).all()) for a, b in pairwise(residuals))


@settings(max_examples=15)
@given(points=st.lists(st.integers(0, 7), min_size=1, max_size=10))
def test_a_test_point_is_scored_alike_in_any_company(points: list[int]) -> None:
    arnoldi, model = Arnoldi(rank=6, damping=0.01, seed=3), model_of("mlp")
    whole = arnoldi.estimate(model, ALL_TEST).scores
    found = arnoldi.estimate(model, torch.tensor(points)).scores
    torch.testing.assert_close(found, whole[points], rtol=1e-9, atol=1e-12)


def test_the_seed_turns_the_space_and_nothing_else_draws() -> None:
    model, fields = model_of("mlp"), {"rank": 5, "krylov": 6, "damping": 0.01}
    one, again, other = (
        Arnoldi.model_validate({**fields, "seed": seed}).estimate(model, ALL_TEST).scores
        for seed in (0, 0, 1)
    )
    assert torch.equal(one, again)
    assert float((one - other).norm() / one.norm()) > 1e-6


def test_what_has_no_answer_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValidationError, match="`krylov` must be at least `rank`"):
        Arnoldi(rank=10, krylov=9)
    with pytest.raises(MethodFailure, match=r"has an eigenvalue of -\S+ or less"):
        Arnoldi(negative_curvature="error", damping=1.0).estimate(example("tanh"), ALL_TEST[:4])
    singular = Arnoldi(curvature_includes_regularization=False)
    with pytest.raises(MethodFailure, match="one of the 18 kept eigenvalues"):
        singular.estimate(model_of("linear"), ALL_TEST)
    monkeypatch.setattr("fragility.estimators._spaces.SPACE_BYTES", 10_000)
    with pytest.raises(MethodFailure, match="would hold 60 vectors of 39 parameters"):
        Arnoldi(rank=21).estimate(model_of("mlp"), ALL_TEST)


def test_definite_curvature_is_not_refused() -> None:
    model = model_of("mlp")
    for curvature in ("hessian", "gauss_newton"):
        fields = {"curvature": curvature, "damping": 0.01, "rank": 39}
        kept = Arnoldi.model_validate(fields).estimate(model, ALL_TEST)
        found = Arnoldi.model_validate({**fields, "negative_curvature": "error"})
        torch.testing.assert_close(found.estimate(model, ALL_TEST).scores, kept.scores)
