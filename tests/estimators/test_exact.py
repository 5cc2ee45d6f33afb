"""The exact estimator against closed forms, double backward and finite differences of optima."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge

from fragility.estimators.exact import Exact
from fragility.models.linear import Linear
from fragility.models.mlp import MLP
from fragility.numerics.curvature import CurvatureMatrix
from fragility.numerics.trained import TrainedModel
from fragility.regularizers.weight_decay import WeightDecay
from tests.problems import converging, fit_stack, test_losses, trained, with_parameters

ALL_TEST = torch.arange(8)


def design(inputs: torch.Tensor) -> np.ndarray:
    return np.hstack([inputs.numpy(), np.ones((len(inputs), 1))])


def test_least_squares_scores_equal_the_analytic_formula() -> None:
    strength = 0.1
    model = trained(Linear(), "regression", WeightDecay(strength=strength), outputs=1)
    scores = Exact().estimate(model, ALL_TEST).scores.numpy()
    X, y = design(model.inputs), model.targets.numpy()
    A, b = design(model.test_inputs), model.test_targets.numpy()
    n = len(X)
    # J = (1/n) |y - X b|^2 + (s/2) |b|^2: the normal equations, written out.
    H = 2 * X.T @ X / n + strength * np.eye(X.shape[1])
    beta = np.linalg.solve(H, 2 * X.T @ y / n)
    train_gradient = 2 * (X @ beta - y) * X
    test_gradient = 2 * (A @ beta - b) * A
    expected = test_gradient @ np.linalg.solve(H, train_gradient.T) / n
    np.testing.assert_allclose(scores, expected, rtol=1e-8, atol=1e-12)


def test_leave_one_out_of_least_squares_equals_the_hat_matrix() -> None:
    """With the mean over n (zero weight), ridge leave-one-out has a closed form in the leverage."""
    strength = 0.1
    model = trained(Linear(), "regression", WeightDecay(strength=strength), outputs=1)
    n = model.n
    weights = torch.full((n, n), 1 / n, dtype=torch.float64).fill_diagonal_(0)
    fit = fit_stack(model, weights, converging())
    after = torch.stack([test_losses(with_parameters(model, theta)) for theta in fit.theta])
    X, y = design(model.inputs), model.targets.numpy()
    A, b = design(model.test_inputs), model.test_targets.numpy()
    inverse = np.linalg.inv(X.T @ X + n * strength / 2 * np.eye(X.shape[1]))
    beta = inverse @ X.T @ y
    leverage = np.einsum("ij,jk,ik->i", X, inverse, X)
    residual = (y - X @ beta)[:, 0]
    removed = beta - (inverse @ X.T) * (residual / (1 - leverage))
    expected = (b - A @ removed) ** 2
    np.testing.assert_allclose(after.numpy(), expected.T, rtol=1e-6)


def test_the_optimum_is_that_of_scikit_learn() -> None:
    strength = 0.1
    model = trained(
        Linear(), "regression", WeightDecay(strength=strength, parameters="weights"), outputs=1
    )
    # |y - X b|^2 + alpha |b|^2 with an unpenalized intercept, n/2 times ours.
    ridge = Ridge(alpha=model.n * strength / 2, tol=1e-12).fit(
        model.inputs.numpy(), model.targets.numpy()
    )
    np.testing.assert_allclose(
        model.parameters["1.weight"].numpy().ravel(), np.ravel(ridge.coef_), rtol=1e-7
    )


CASES = {
    "linear": (Linear(), "classification"),
    "mlp": (MLP(hidden=(4,), activation="tanh"), "classification"),
    "mlp-regression": (MLP(hidden=(3, 2), activation="softplus"), "regression"),
}


def objective(model: TrainedModel, parameters: list[torch.Tensor]) -> torch.Tensor:
    named = dict(zip(model.network.layout.names, parameters, strict=True))
    outputs = torch.func.functional_call(model.network.module, named, (model.inputs,))
    penalty = sum(model.decay[k] / 2 * v.square().sum() for k, v in named.items())
    return model.loss.per_example(outputs, model.targets).mean() + penalty


@pytest.mark.parametrize("case", CASES)
def test_scores_equal_double_backward_written_out(case: str) -> None:
    architecture, task = CASES[case]
    model = trained(architecture, task, WeightDecay(strength=0.05))
    result = Exact(damping=0.01).estimate(model, ALL_TEST)
    parameters = [
        model.parameters[name].clone().requires_grad_() for name in model.network.layout.names
    ]
    gradients = torch.autograd.grad(objective(model, parameters), parameters, create_graph=True)
    flat = torch.cat([g.ravel() for g in gradients])
    rows = [torch.autograd.grad(entry, parameters, retain_graph=True) for entry in flat]
    H = torch.stack([torch.cat([part.ravel() for part in row]) for row in rows])

    def example_gradient(inputs: torch.Tensor, targets: torch.Tensor, i: int) -> torch.Tensor:
        named = dict(zip(model.network.layout.names, parameters, strict=True))
        outputs = torch.func.functional_call(model.network.module, named, (inputs[i : i + 1],))
        loss = model.loss.per_example(outputs, targets[i : i + 1]).sum()
        return torch.cat([g.ravel() for g in torch.autograd.grad(loss, parameters)])

    train = torch.stack([example_gradient(model.inputs, model.targets, i) for i in range(model.n)])
    test = torch.stack(
        [example_gradient(model.test_inputs, model.test_targets, i) for i in range(8)]
    )
    damped = H + 0.01 * torch.eye(len(H), dtype=H.dtype)
    expected = test @ torch.linalg.solve(damped, train.T) / model.n
    torch.testing.assert_close(result.scores, expected, rtol=1e-7, atol=1e-10)
    values = torch.linalg.eigvalsh(H)
    negative = int((values < -1e-12).sum())
    assert result.diagnostics["curvature_negative_eigenvalues"] == negative
    assert result.diagnostics["curvature_top_eigenvalue"] == pytest.approx(float(values[-1]))


@pytest.mark.parametrize("case", CASES)
def test_scores_are_the_derivative_of_retrained_optima(case: str) -> None:
    """Moves the weight of one example a little both ways, retrains, and takes the slope."""
    architecture, task = CASES[case]
    model = trained(architecture, task, WeightDecay(strength=0.3))
    scores = Exact().estimate(model, ALL_TEST).scores
    n, step = model.n, 1e-4
    points = [0, 7, 23]
    weights = torch.full((2 * len(points), n), 1 / n, dtype=torch.float64)
    for row, point in enumerate(points):
        weights[2 * row, point] -= step / n
        weights[2 * row + 1, point] += step / n
    fit = fit_stack(model, weights, converging())
    moved = torch.stack([test_losses(with_parameters(model, theta)) for theta in fit.theta])
    slope = (moved[0::2] - moved[1::2]) / (2 * step)
    torch.testing.assert_close(scores[:, points].T, slope, rtol=1e-4, atol=1e-8)


def test_the_hessian_of_the_last_layer_is_its_gauss_newton_matrix() -> None:
    model = trained(CASES["mlp"][0], "classification", WeightDecay(strength=0.05))
    layout = model.network.select("last_layer")
    hessian, gauss_newton = (
        CurvatureMatrix(model, layout, kind).dense() for kind in ("hessian", "gauss_newton")
    )
    torch.testing.assert_close(hessian, gauss_newton)
    assert layout.names == ("3.weight", "3.bias")
    assert model.network.select("last_layer_weight").names == ("3.weight",)


def test_gauss_newton_equals_the_jacobians_written_out() -> None:
    model = trained(CASES["mlp-regression"][0], "regression", WeightDecay(strength=0.05))
    layout = model.network.layout
    flat = model.vector(layout).requires_grad_()
    outputs = model.network(layout.unflatten(flat), model.inputs)
    rows = [torch.autograd.grad(o, flat, retain_graph=True)[0] for o in outputs.ravel()]
    J = torch.stack(rows)
    matrix = CurvatureMatrix(model, layout, "gauss_newton", includes_regularization=False)
    torch.testing.assert_close(matrix.dense(), 2 * J.T @ J / model.n)


def test_regularization_can_be_left_out_of_the_curvature() -> None:
    model = trained(CASES["linear"][0], "classification", WeightDecay(strength=0.2))
    without = Exact(curvature_includes_regularization=False, damping=0.2)
    torch.testing.assert_close(
        without.estimate(model, ALL_TEST).scores, Exact().estimate(model, ALL_TEST).scores
    )


@pytest.mark.parametrize("parameters", ["all", "last_layer_weight"])
@pytest.mark.parametrize(
    ("penalized", "inverse"), [(True, "times_train_gradients"), (False, "written_out")]
)
def test_terms_added_one_after_another_make_the_same_matrix(
    parameters: str, penalized: bool, inverse: str
) -> None:
    """Differentiated twice, all at once; where it is singular, damping makes it definite."""
    model = trained(MLP(hidden=(4,)), "classification", WeightDecay(strength=0.1))
    layout = model.network.select(parameters)  # type: ignore[arg-type]

    def mean_loss(flat: torch.Tensor) -> torch.Tensor:
        values = {**model.parameters, **layout.unflatten(flat)}
        outputs = model.network(values, model.inputs)
        return torch.nn.functional.cross_entropy(outputs, model.targets)

    at = model.vector(layout)
    hessian = torch.autograd.functional.hessian(mean_loss, at)
    hessian.diagonal().add_(0.5 + 0.1 * penalized)
    gradients = torch.autograd.functional.jacobian(
        lambda flat: model.loss.per_example(
            model.network({**model.parameters, **layout.unflatten(flat)}, model.inputs),
            model.targets,
        ),
        at,
    )
    tests = torch.autograd.functional.jacobian(
        lambda flat: model.loss.per_example(
            model.network({**model.parameters, **layout.unflatten(flat)}, model.test_inputs),
            model.test_targets,
        ),
        at,
    )
    estimator = Exact.model_validate(
        {
            "parameters": parameters,
            "damping": 0.5,
            "curvature_includes_regularization": penalized,
            "departures": {"summation": "by_example", "inverse": inverse},
        }
    )
    expected = tests @ torch.linalg.solve(hessian, gradients.T) / model.n
    found = estimator.estimate(model, torch.arange(len(tests))).scores
    torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-12)


def test_only_a_hessian_is_added_up_example_by_example() -> None:
    with pytest.raises(ValueError, match="which is of the Hessian"):
        Exact.model_validate(
            {"curvature": "gauss_newton", "departures": {"summation": "by_example"}}
        )
