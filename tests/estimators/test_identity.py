"""Influence with a multiple of the identity, where the curvature is one, and written out."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from fragility.errors import MethodFailure
from fragility.estimators.exact import Exact
from fragility.estimators.grad_dot import GradDot
from fragility.estimators.identity import Identity
from fragility.models.linear import Linear
from fragility.numerics.curvature import Curvature
from fragility.regularizers.weight_decay import WeightDecay
from tests.numerics.networks import autograd_gradients, autograd_jacobian, example
from tests.problems import trained

ALL_TEST = torch.arange(8)


def test_exact_where_the_curvature_is_a_multiple_of_the_identity() -> None:
    """Least squares on inputs that are orthonormal together with the constant."""
    model = trained(Linear(), "regression", WeightDecay(strength=0.3), outputs=2)
    ones = torch.ones(model.n, 1, dtype=torch.float64)
    basis, _ = torch.linalg.qr(torch.cat([ones, model.inputs], dim=1))
    model = replace(model, inputs=basis[:, 1:] * model.n**0.5)
    found = Identity(damping=0.2).estimate(model, ALL_TEST)
    torch.testing.assert_close(
        found.scores, Exact(damping=0.2).estimate(model, ALL_TEST).scores, rtol=1e-10, atol=1e-13
    )
    assert found.diagnostics["curvature_mean_eigenvalue"] == pytest.approx(2.3)


@pytest.mark.parametrize("included", [True, False])
@pytest.mark.parametrize("curvature", ["hessian", "gauss_newton", "empirical_fisher"])
@pytest.mark.parametrize("name", ["tanh", "convolution", "residual"])
def test_the_mean_eigenvalue_is_a_trace(name: str, curvature: Curvature, included: bool) -> None:
    model = example(name)
    layout = model.network.layout
    if curvature == "empirical_fisher":
        trace = autograd_gradients(model).square().sum() / model.n
    else:
        J = autograd_jacobian(model)
        p = torch.softmax(model.network(model.parameters, model.inputs), dim=1)
        L = torch.diag_embed(p) - p.unsqueeze(2) * p.unsqueeze(1)
        trace = torch.einsum("nip,nij,njp->", J, L, J) / model.n
    penalty = model.decay_vector(layout).sum() if included else 0
    mean = (trace + penalty) / layout.size
    estimator = Identity(
        curvature=curvature, damping=0.01, curvature_includes_regularization=included
    )
    plain = GradDot().estimate(model, torch.arange(4)).scores
    found = estimator.estimate(model, torch.arange(4)).scores
    torch.testing.assert_close(found, plain / (mean + 0.01), rtol=1e-9, atol=1e-13)


def test_no_curvature_at_all_is_a_failure() -> None:
    """Where every example is met exactly the empirical Fisher matrix is zero."""
    model = example("tanh", "regression")
    met = replace(model, targets=model.network(model.parameters, model.inputs).detach())
    estimator = Identity(curvature="empirical_fisher", curvature_includes_regularization=False)
    with pytest.raises(MethodFailure, match="`damping` above 0"):
        estimator.estimate(met, torch.arange(4))
