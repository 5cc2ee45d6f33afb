"""Conjugate gradients against the dense answer."""

from __future__ import annotations

import pytest
import torch
from pydantic import ValidationError

from fragility.errors import MethodFailure
from fragility.estimators import cg as module
from fragility.estimators.auto import Auto
from fragility.estimators.cg import CG
from fragility.estimators.exact import Exact
from fragility.models.linear import Linear
from fragility.models.mlp import MLP
from fragility.numerics.trained import TrainedModel
from fragility.regularizers.weight_decay import WeightDecay
from tests.numerics.networks import autograd_hessian, example
from tests.problems import trained

ALL_TEST = torch.arange(8)
CASES = {
    "linear": lambda: trained(Linear(), "classification", WeightDecay(strength=0.05)),
    "mlp": lambda: trained(
        MLP(hidden=(4,), activation="tanh"), "classification", WeightDecay(strength=0.05)
    ),
    "regression": lambda: trained(
        MLP(hidden=(3, 2), activation="softplus"), "regression", WeightDecay(strength=0.05)
    ),
}


@pytest.mark.parametrize("curvature", ["hessian", "gauss_newton", "empirical_fisher"])
@pytest.mark.parametrize("rank", [None, 0, 5])
@pytest.mark.parametrize("case", CASES)
def test_scores_converge_to_the_exact_ones(case: str, rank: int | None, curvature: str) -> None:
    model = CASES[case]()
    fields = {"curvature": curvature, "damping": 0.01}
    exact = Exact.model_validate(fields).estimate(model, ALL_TEST)
    found = CG.model_validate({**fields, "tolerance": 1e-12, "preconditioner_rank": rank}).estimate(
        model, ALL_TEST
    )
    torch.testing.assert_close(found.scores, exact.scores, rtol=1e-7, atol=1e-11)
    assert float(found.by_test_point["relative_residual"].max()) <= 1e-11


@pytest.mark.parametrize("name", ["convolution", "pooling", "residual", "normalized"])
def test_networks_that_are_not_dense(name: str) -> None:
    model = example(name)
    H = autograd_hessian(model) + torch.diag(model.decay_vector(model.network.layout))
    damping = 0.1 - min(0.0, float(torch.linalg.eigvalsh(H)[0]))
    fields = {"damping": damping}
    exact = Exact(damping=damping).estimate(model, torch.arange(4))
    found = CG.model_validate({**fields, "tolerance": 1e-11}).estimate(model, torch.arange(4))
    torch.testing.assert_close(found.scores, exact.scores, rtol=1e-6, atol=1e-10)


def test_blocks_of_test_points_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    model = CASES["mlp"]()
    together = CG(damping=0.01, tolerance=1e-12).estimate(model, ALL_TEST).scores
    monkeypatch.setattr(module, "BLOCK", 3)
    apart = CG(damping=0.01, tolerance=1e-12).estimate(model, ALL_TEST).scores
    torch.testing.assert_close(apart, together, rtol=1e-8, atol=1e-12)


def test_the_stored_residual_is_that_of_the_dense_matrix() -> None:
    model = CASES["mlp"]()
    found = CG(damping=0.01, rounds=2, preconditioner_rank=0).estimate(model, ALL_TEST)
    residual = found.by_test_point["relative_residual"]
    assert found.diagnostics["cg_unsolved"] == int((residual > 1e-6).sum()) > 0
    layout = model.network.layout
    H = autograd_hessian(model) + torch.diag(model.decay_vector(layout) + 0.01)
    gradients = torch.stack([_test_gradient(model, t) for t in range(8)])
    # The scores are linear in the solutions: from enough training points these follow.
    train = torch.stack([_train_gradient(model, i) for i in range(model.n)])
    vectors = torch.linalg.lstsq(train, found.scores.T * model.n).solution.T
    fitted = vectors @ train.T / model.n
    torch.testing.assert_close(fitted, found.scores, rtol=1e-6, atol=1e-9)
    left = (gradients - vectors @ H).norm(dim=1) / gradients.norm(dim=1)
    torch.testing.assert_close(residual, left, rtol=1e-4, atol=1e-8)


def _train_gradient(model: TrainedModel, i: int) -> torch.Tensor:
    return _gradient(model, model.inputs[i : i + 1], model.targets[i : i + 1])


def _test_gradient(model: TrainedModel, t: int) -> torch.Tensor:
    return _gradient(model, model.test_inputs[t : t + 1], model.test_targets[t : t + 1])


def _gradient(model: TrainedModel, inputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    layout = model.network.layout
    point = model.vector(layout).clone().requires_grad_()
    loss = model.losses_at(layout, point, inputs, targets).sum()
    return torch.autograd.grad(loss, point)[0]


def test_negative_curvature_can_be_refused() -> None:
    model = example("tanh")
    H = autograd_hessian(model) + torch.diag(model.decay_vector(model.network.layout))
    assert float(torch.linalg.eigvalsh(H)[0]) < -1e-3
    with pytest.raises(MethodFailure, match="not positive definite"):
        CG(negative_curvature="error").estimate(model, torch.arange(4))
    with pytest.raises(ValidationError, match="needs eigenvalues"):
        CG(negative_curvature="clip")


def test_auto_is_dense_while_the_matrix_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    model = CASES["mlp"]()
    exact = Exact(damping=0.01).estimate(model, ALL_TEST)
    auto = Auto(damping=0.01, tolerance=1e-11).estimate(model, ALL_TEST)
    assert torch.equal(auto.scores, exact.scores)
    assert auto.diagnostics["auto_is_dense"] == 1
    monkeypatch.setattr("fragility.estimators.exact.DENSE_BYTES", 1000)
    products = Auto(damping=0.01, tolerance=1e-11).estimate(model, ALL_TEST)
    torch.testing.assert_close(products.scores, exact.scores, rtol=1e-7, atol=1e-11)
    assert products.diagnostics["auto_is_dense"] == 0
    with pytest.raises(MethodFailure, match=r"at most \d+ parameters in float64; here are 39"):
        Exact(damping=0.01).estimate(model, ALL_TEST)


def test_a_preconditioner_shortens_the_way() -> None:
    model = CASES["mlp"]()
    fields = {"curvature": "gauss_newton", "damping": 1e-6, "tolerance": 1e-8}
    fields["curvature_includes_regularization"] = False
    one = torch.arange(1)
    without = CG.model_validate({**fields, "preconditioner_rank": 0}).estimate(model, one)
    with_it = CG.model_validate({**fields, "preconditioner_rank": 25}).estimate(model, one)
    assert with_it.diagnostics["cg_rounds"] < without.diagnostics["cg_rounds"] / 2
    torch.testing.assert_close(with_it.scores, without.scores, rtol=1e-5, atol=1e-9)
