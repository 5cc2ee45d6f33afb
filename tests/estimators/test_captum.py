"""Captum's influence functions in our units, where they are exact and where they are not."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from fragility.errors import MethodFailure
from fragility.estimators._influence import RelativeDamping
from fragility.estimators.captum import Captum
from fragility.estimators.exact import Exact
from fragility.estimators.grad_dot import GradDot
from tests.estimators.peers import (
    ALL_TEST,
    ARCHITECTURES,
    damped_hessian,
    fitted,
    no_trace,
    train_and_test_gradients,
)
from tests.numerics.networks import example


@pytest.mark.parametrize("name", [name for name in ARCHITECTURES if name != "least-squares-3"])
def test_exact_is_exact(name: str) -> None:
    model = fitted(name)
    found = Captum(damping=0.01).estimate(model, ALL_TEST)
    expected = Exact(damping=0.01).estimate(model, ALL_TEST).scores
    torch.testing.assert_close(found.scores, expected, rtol=1e-8, atol=1e-12)
    assert float(found.by_test_point["relative_residual"].max()) < 1e-9
    assert found.diagnostics["rank"] == model.network.layout.size


@pytest.mark.parametrize(
    "fields",
    [
        {"parameters": "last_layer"},
        {"parameters": "last_layer_weight"},
        {"parameters": ("1.*",)},
        {"damping": RelativeDamping(relative=0.2)},
        {"damping": 0.3, "curvature_includes_regularization": False},
    ],
)
def test_fields_mean_what_they_mean_in_exact(fields: dict[str, object]) -> None:
    model = fitted("mlp")
    given = {"damping": 0.01, **fields}
    found = Captum.model_validate(given).estimate(model, ALL_TEST).scores
    expected = Exact.model_validate(given).estimate(model, ALL_TEST).scores
    torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-12)


def test_convolutions() -> None:
    """Untrained: damping makes the Hessian positive definite."""
    model, tests = example("convolution"), torch.arange(4)
    found = Captum(damping=5.0).estimate(model, tests).scores
    expected = Exact(damping=5.0).estimate(model, tests).scores
    torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-12)


def test_float32() -> None:
    model = fitted("mlp")
    found = Captum(damping=0.01, dtype="float32").estimate(model, ALL_TEST).scores
    expected = Exact(damping=0.01).estimate(model, ALL_TEST).scores
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), expected, rtol=1e-3, atol=1e-5)


def test_negative_eigenvalues_are_left_out() -> None:
    model = example("tanh")
    matrix = damped_hessian(model, 0.0)
    values, vectors = torch.linalg.eigh(matrix)
    positive = values > 0
    assert 0 < int(positive.sum()) < len(values)
    train, test = train_and_test_gradients(model)
    along = vectors[:, positive]
    expected = (test @ along / values[positive]) @ (train @ along).T / model.n
    found = Captum().estimate(model, torch.arange(4))
    torch.testing.assert_close(found.scores, expected, rtol=1e-8, atol=1e-10)
    assert found.diagnostics["rank"] == int(positive.sum())
    assert float(found.by_test_point["relative_residual"].min()) > 1e-3


def test_the_residual_tells_where_repeated_eigenvalues_make_it_wrong() -> None:
    """The Hessian of least squares has each eigenvalue once for every output."""
    model = fitted("least-squares-3")
    found = Captum(damping=0.01).estimate(model, ALL_TEST)
    expected = Exact(damping=0.01).estimate(model, ALL_TEST).scores
    wrong = (found.scores - expected).abs().max() / expected.abs().max()
    assert float(wrong) > 1e-3
    assert float(found.by_test_point["relative_residual"].max()) > 1e-3


@pytest.mark.parametrize("rank", [1, 3])
def test_arnoldi_finds_the_largest_eigenvectors(rank: int) -> None:
    model = fitted("mlp")
    values, vectors = torch.linalg.eigh(damped_hessian(model, 0.01))
    train, test = train_and_test_gradients(model)
    along, kept = vectors[:, -rank:], values[-rank:]
    expected = (test @ along / kept) @ (train @ along).T / model.n
    estimator = Captum(method="arnoldi", rank=rank, iterations=25, damping=0.01)
    found = estimator.estimate(model, ALL_TEST)
    torch.testing.assert_close(found.scores, expected, rtol=1e-6, atol=1e-9)
    assert found.diagnostics["rank"] == rank


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_grad_dot_is_grad_dot(name: str) -> None:
    model = fitted(name)
    found = Captum(method="grad_dot").estimate(model, ALL_TEST).scores
    torch.testing.assert_close(found, GradDot().estimate(model, ALL_TEST).scores)


def test_test_points_are_the_ones_asked_for() -> None:
    model = fitted("linear")
    chosen = torch.tensor([6, 1])
    found = Captum(damping=0.01).estimate(model, chosen)
    everything = Captum(damping=0.01).estimate(model, ALL_TEST)
    torch.testing.assert_close(found.scores, everything.scores[chosen])


@pytest.mark.parametrize("method", ["exact", "arnoldi", "grad_dot"])
def test_it_leaves_no_trace(method: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    model = fitted("mlp")
    estimator = Captum.model_validate({"method": method, "rank": 2, "iterations": 10})
    with no_trace(model, tmp_path, capfd):
        estimator.estimate(model, ALL_TEST)


def test_what_breaks_in_captum_is_a_failure_of_the_task() -> None:
    model = fitted("linear")
    with pytest.raises(MethodFailure, match="captum broke: Exception: Arnoldi basis is empty"):
        Captum(method="arnoldi", iterations=1).estimate(model, ALL_TEST)


def test_hessians_that_fit_no_memory_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fragility.estimators._peers.LARGEST_BYTES", 8 * 8 * 18**2 - 1)
    model = fitted("linear")
    with pytest.raises(MethodFailure, match="18 parameters over 40 examples"):
        Captum().estimate(model, ALL_TEST)
    monkeypatch.setattr("fragility.estimators._peers.LARGEST_BYTES", 8 * 8 * 18**2)
    Captum().estimate(model, ALL_TEST)
