"""Facts about curvature, against Hessians by autograd and closed forms of ridge regression."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from fragility.diagnostics import DIAGNOSTICS, Fact, Findings
from fragility.errors import MethodFailure
from fragility.models.linear import Linear
from fragility.models.mlp import MLP
from fragility.numerics import spectrum
from fragility.numerics.spectrum import Spectrum
from fragility.numerics.trained import TrainedModel
from fragility.regularizers.none import NoRegularization
from fragility.regularizers.weight_decay import WeightDecay
from tests.problems import trained, with_parameters

STRENGTH = 0.05


def findings(model: TrainedModel, kind: str, **fields: Any) -> Findings:
    diagnostic = DIAGNOSTICS.methods[kind].model_validate({"kind": kind, **fields})
    found = diagnostic.measure(model, Spectrum(model))
    assert isinstance(found, Findings)
    return found


def facts(model: TrainedModel, kind: str, **fields: Any) -> dict[str, Fact]:
    return {fact.name: fact for fact in findings(model, kind, **fields).facts}


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """No matrix is written out."""
    monkeypatch.setattr(spectrum, "DENSE_LIMIT", 3)


@pytest.fixture(scope="module")
def ridge() -> TrainedModel:
    """Least squares beside its optimum, every parameter penalized."""
    model = trained(Linear(), "regression", WeightDecay(strength=STRENGTH), outputs=1)
    return with_parameters(model, torch.linspace(-1, 1, 6, dtype=torch.float64))


@pytest.fixture(scope="module")
def network() -> TrainedModel:
    """A network at its minimum."""
    return trained(
        MLP(hidden=(4,), activation="tanh"), "classification", WeightDecay(strength=0.01)
    )


@pytest.fixture(scope="module")
def saddle(network: TrainedModel) -> TrainedModel:
    """The network at random parameters, where its Hessian is indefinite."""
    generator = torch.Generator().manual_seed(3)
    size = network.network.layout.size
    return with_parameters(network, torch.randn(size, generator=generator, dtype=torch.float64))


def objective(model: TrainedModel, flat: torch.Tensor) -> torch.Tensor:
    layout = model.network.layout
    losses = model.losses_at(layout, flat, model.inputs, model.targets)
    return losses.mean() + 0.5 * (model.decay_vector(layout) * flat.square()).sum()


def derivatives(model: TrainedModel) -> tuple[np.ndarray, np.ndarray]:
    """Gradient and Hessian of the penalized objective by torch's autograd."""
    flat = model.vector(model.network.layout)
    gradient = torch.autograd.functional.jacobian(lambda x: objective(model, x), flat)
    hessian = torch.autograd.functional.hessian(lambda x: objective(model, x), flat)
    return gradient.numpy(), hessian.numpy()


def design(model: TrainedModel) -> np.ndarray:
    return np.hstack([model.inputs.numpy(), np.ones((model.n, 1))])


# Spectrum


@pytest.mark.parametrize("which", ["network", "saddle"])
def test_the_spectrum_is_that_of_the_hessian(which: str, request: pytest.FixtureRequest) -> None:
    model = request.getfixturevalue(which)
    found = findings(model, "hessian_spectrum").spectrum
    assert found is not None
    assert found.matrix == "hessian of all parameters"
    np.testing.assert_allclose(found.values, np.linalg.eigvalsh(derivatives(model)[1]), atol=1e-12)
    np.testing.assert_array_equal(found.weights, 1)


def test_it_may_be_of_some_parameters_and_without_the_penalty(saddle: TrainedModel) -> None:
    fields = {"parameters": "last_layer", "includes_regularization": False}
    found = findings(saddle, "hessian_spectrum", **fields)
    assert found.facts[0].name == "hessian_spectrum [hessian of last_layer without penalty]"
    _, hessian = derivatives(saddle)
    size = saddle.network.select("last_layer").size
    expected = np.linalg.eigvalsh(hessian[-size:, -size:] - 0.01 * np.eye(size))
    assert found.spectrum is not None
    np.testing.assert_allclose(found.spectrum.values, expected, atol=1e-12)


def test_the_curvature_may_be_another(saddle: TrainedModel) -> None:
    found = findings(saddle, "hessian_spectrum", curvature="gauss_newton").spectrum
    assert found is not None
    assert found.matrix == "gauss_newton of all parameters"
    assert found.values[0] >= 0.01 - 1e-12
    assert found.values[0] > findings(saddle, "hessian_spectrum").spectrum.values[0]  # type: ignore[union-attr]


def test_nodes_of_a_large_model_integrate_low_powers(saddle: TrainedModel, large: None) -> None:
    """Random signs see the trace exactly where the matrix is diagonal, else within their error."""
    _, hessian = derivatives(saddle)
    found = findings(saddle, "hessian_spectrum", probes=150, steps=4)
    assert found.spectrum is not None
    nodes, weights = found.spectrum.values, found.spectrum.weights
    assert weights.sum() == pytest.approx(len(hessian))
    assert (np.diff(nodes) >= 0).all()
    values = np.linalg.eigvalsh(hessian)
    assert values[0] - 1e-9 <= nodes[0]
    assert nodes[-1] <= values[-1] + 1e-9
    for power in (1, 2, 3):
        # The variance of z^T A z for random signs is 2 (|A|_F^2 - sum of a_ii^2).
        matrix = np.linalg.matrix_power(hessian, power)
        variance = 2 * ((matrix**2).sum() - (np.diag(matrix) ** 2).sum())
        error = (weights * nodes**power).sum() - np.trace(matrix)
        assert abs(error) < 3.5 * np.sqrt(variance / 150)


def test_what_the_model_does_not_have_is_refused(saddle: TrainedModel) -> None:
    with pytest.raises(MethodFailure, match=r"no parameter of the model matches `9\.\*`"):
        findings(saddle, "hessian_spectrum", parameters=["9.*"])


# Effective dimension


def test_for_ridge_regression_it_is_the_trace_of_the_hat_matrix(ridge: TrainedModel) -> None:
    X = design(ridge)
    hat = X @ np.linalg.solve(X.T @ X + ridge.n * STRENGTH / 2 * np.eye(6), X.T)
    name = "effective_dimension [hessian of all parameters without penalty, damping 0.05]"
    found = facts(ridge, "effective_dimension", damping=STRENGTH, includes_regularization=False)
    assert found[name].value == pytest.approx(np.trace(hat), rel=1e-12)


def test_negative_eigenvalues_count_as_zero_and_are_counted(saddle: TrainedModel) -> None:
    values = np.linalg.eigvalsh(derivatives(saddle)[1])
    found = facts(saddle, "effective_dimension", damping=[0.01, 0.1])
    for damping in (0.01, 0.1):
        fact = found[f"effective_dimension [damping {damping}]"]
        expected = sum(value / (value + damping) for value in values if value > 0)
        assert fact.value == pytest.approx(expected)
        assert fact.detail == f"{(values < 0).sum()} negative eigenvalues count as 0"


def test_of_a_large_model_it_is_within_its_error(saddle: TrainedModel, large: None) -> None:
    values = np.linalg.eigvalsh(derivatives(saddle)[1]).clip(min=0)
    found = facts(saddle, "effective_dimension", damping=0.1, probes=40, steps=20)
    value = found["effective_dimension [damping 0.1]"].value
    error = found["effective_dimension_error [damping 0.1]"].value
    assert value is not None
    assert error is not None
    assert 0 < error < 1
    assert abs(value - (values / (values + 0.1)).sum()) < 3.5 * error
    one = facts(saddle, "effective_dimension", damping=0.1, probes=1)
    assert "effective_dimension_error [damping 0.1]" not in one


# Condition number


@pytest.mark.parametrize("damping", [0.0, 0.3])
def test_the_condition_number_is_numpys(saddle: TrainedModel, damping: float) -> None:
    _, hessian = derivatives(saddle)
    expected = np.linalg.cond(hessian + damping * np.eye(len(hessian)))
    more = " [damping 0.3]" if damping else ""
    found = facts(saddle, "condition_number", damping=damping)
    assert found[f"condition_number{more}"].value == pytest.approx(expected, rel=1e-9)
    assert found[f"condition_number{more}"].detail is None
    for name in ("float32", "float64"):
        error = found[f"relative_error_{name}{more}"].value
        assert error == pytest.approx(expected * np.finfo(name).eps, rel=1e-9)


def test_a_singular_matrix_has_a_condition_of_at_least() -> None:
    model = trained(Linear(), "classification", NoRegularization(), n=60)
    values = np.linalg.eigvalsh(derivatives(model)[1])
    assert abs(values[0]) < 1e-12 < values[-1]
    fact = facts(model, "condition_number")["condition_number"]
    assert fact.value is not None
    assert fact.value > 1e12
    assert fact.detail == "at least: the smallest eigenvalue is 0 to rounding"


@pytest.mark.parametrize("curvature", ["hessian", "gauss_newton"])
def test_lanczos_bounds_the_condition(
    saddle: TrainedModel, curvature: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = (
        f"condition_number{'' if curvature == 'hessian' else ' [gauss_newton of all parameters]'}"
    )
    exact = facts(saddle, "condition_number", curvature=curvature)[name].value
    assert exact is not None
    monkeypatch.setattr(spectrum, "DENSE_LIMIT", 3)
    bounds = []
    for steps in (4, 12, 30):
        found = facts(saddle, "condition_number", curvature=curvature, steps=steps)
        fact = found[name]
        assert fact.value is not None
        assert fact.value <= exact * (1 + 1e-9)
        assert fact.detail == f"at least: {steps} steps of Lanczos"
        bounds.append(fact.value)
        most = found.get("condition_number_at_most [gauss_newton of all parameters]")
        assert (most is None) == (curvature == "hessian")
        if most is not None:
            assert most.value is not None
            assert most.value >= exact * (1 - 1e-9)
    assert bounds[-1] > bounds[0]


def test_the_precision_of_the_training_is_told(ridge: TrainedModel) -> None:
    diagnostic = DIAGNOSTICS.methods["condition_number"].model_validate(
        {"kind": "condition_number"}
    )
    found = diagnostic.measure(ridge, Spectrum(ridge, trained_in=torch.float32))
    assert isinstance(found, Findings)
    (fact,) = [fact for fact in found.facts if fact.name == "machine_epsilon"]
    assert fact.value == pytest.approx(2**-23)
    assert fact.detail == "the model was trained in float32"


# Newton decrement


def optimum(model: TrainedModel) -> np.ndarray:
    X, y = design(model), model.targets.numpy()[:, 0]
    return np.linalg.solve(X.T @ X + model.n * STRENGTH / 2 * np.eye(6), X.T @ y)


def check_ridge(model: TrainedModel) -> None:
    best = torch.from_numpy(optimum(model))
    here = model.vector(model.network.layout)
    gap = float(objective(model, here) - objective(model, best))
    found = facts(model, "newton_decrement")
    assert found["newton_decrease"].value == pytest.approx(gap, rel=1e-9)
    assert found["newton_decrement"].value == pytest.approx(np.sqrt(2 * gap), rel=1e-9)
    assert found["newton_step_norm"].value == pytest.approx(float((best - here).norm()), rel=1e-9)
    gradient, _ = derivatives(model)
    assert found["newton_gradient_norm"].value == pytest.approx(np.linalg.norm(gradient))


def test_of_a_quadratic_it_is_the_distance_to_the_optimum(ridge: TrainedModel) -> None:
    check_ridge(ridge)


def test_lanczos_from_the_gradient_finds_the_same(ridge: TrainedModel, large: None) -> None:
    check_ridge(ridge)


def test_beside_a_minimum_it_is_the_fall_to_it(network: TrainedModel) -> None:
    """To second order, which a small step away from the minimum makes visible."""
    layout = network.network.layout
    generator = torch.Generator().manual_seed(1)
    best = network.vector(layout)
    away = torch.randn(layout.size, generator=generator, dtype=torch.float64)
    beside = with_parameters(network, best + 1e-4 * away)
    gap = float(objective(network, best + 1e-4 * away) - objective(network, best))
    found = facts(beside, "newton_decrement")
    assert found["newton_decrease"].value == pytest.approx(gap, rel=1e-3)
    assert found["newton_step_norm"].value == pytest.approx(1e-4 * float(away.norm()), rel=1e-3)


def test_of_some_parameters_gradient_and_curvature_are_theirs(ridge: TrainedModel) -> None:
    gradient, hessian = derivatives(ridge)
    found = facts(ridge, "newton_decrement", parameters=["*.weight"])
    name = "newton_decrement [hessian of *.weight]"
    expected = gradient[:5] @ np.linalg.solve(hessian[:5, :5], gradient[:5])
    assert found[name].value == pytest.approx(np.sqrt(expected), rel=1e-9)


def test_few_steps_find_less_and_say_so(ridge: TrainedModel, large: None) -> None:
    found = facts(ridge, "newton_decrement", steps=2)
    gradient, hessian = derivatives(ridge)
    exact = np.sqrt(gradient @ np.linalg.solve(hessian, gradient))
    assert found["newton_decrement"].value is not None
    assert 0 < found["newton_decrement"].value < exact
    # The residual of the minimizer over the span of g and Hg, by least squares for its energy.
    span = np.stack([gradient, hessian @ gradient], axis=1)
    step = span @ np.linalg.solve(span.T @ hessian @ span, span.T @ gradient)
    residual = np.linalg.norm(gradient - hessian @ step) / np.linalg.norm(gradient)
    told = f"at least, 2 Lanczos steps, relative residual {residual:.2g}"
    assert found["newton_decrement"].detail == told


@pytest.mark.parametrize("limit", [1500, 3])
def test_an_indefinite_hessian_has_none_and_a_reason(
    saddle: TrainedModel, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spectrum, "DENSE_LIMIT", limit)
    found = facts(saddle, "newton_decrement")
    lowest = np.linalg.eigvalsh(derivatives(saddle)[1])[0]
    for name in ("newton_decrement", "newton_decrease", "newton_step_norm"):
        assert found[name].value is None
        assert found[name].detail is not None
        assert found[name].detail.startswith("indefinite: ")
        assert found[name].detail.endswith(f"the lowest {lowest:.3g}")
    assert found["newton_gradient_norm"].value is not None


def test_flat_directions_are_left_out() -> None:
    """Softmax has one output too many: shifts of all outputs change nothing."""
    model = trained(Linear(), "classification", NoRegularization(), n=60)
    away = torch.linspace(-0.3, 0.3, 18, dtype=torch.float64)
    beside = with_parameters(model, model.vector(model.network.layout) + away)
    gradient, hessian = derivatives(beside)
    expected = gradient @ np.linalg.pinv(hessian, rcond=1e-10, hermitian=True) @ gradient
    fact = facts(beside, "newton_decrement")["newton_decrement"]
    assert fact.value == pytest.approx(np.sqrt(expected), rel=1e-6)
    assert fact.detail is None


def test_the_weight_of_a_feature_that_is_always_0_is_left_out(ridge: TrainedModel) -> None:
    inputs = ridge.inputs.clone()
    inputs[:, 0] = 0
    model = replace(ridge, inputs=inputs, decay=dict.fromkeys(ridge.decay, 0.0))
    fact = facts(model, "newton_decrement")["newton_decrement"]
    gradient, hessian = derivatives(model)
    expected = gradient[1:] @ np.linalg.solve(hessian[1:, 1:], gradient[1:])
    assert fact.value == pytest.approx(np.sqrt(expected), rel=1e-9)


def test_a_diverged_model_has_no_decrement(ridge: TrainedModel) -> None:
    broken = with_parameters(ridge, torch.full((6,), torch.inf, dtype=torch.float64))
    with pytest.raises(MethodFailure, match="has diverged"):
        findings(broken, "newton_decrement")
