"""TRAK against its formula written out, and where it is the exact Gauss-Newton influence."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from scipy.stats import spearmanr

from fragility.errors import MethodFailure
from fragility.estimators._model_output import margin
from fragility.estimators.exact import Exact
from fragility.estimators.trak import TRAK
from fragility.identity import derive_seed
from fragility.models.linear import Linear
from fragility.models.mlp import MLP
from fragility.numerics.projection import Projection
from fragility.numerics.trained import TrainedModel
from fragility.regularizers.weight_decay import WeightDecay
from tests.estimators.brute_force import both_gradients, on_test
from tests.numerics.networks import NETWORKS, example
from tests.problems import converging, trained, with_parameters

ALL_TEST = torch.arange(8)
TANH = MLP(hidden=(4,), activation="tanh")
GAUSS_NEWTON: dict[str, Any] = {
    "curvature": "gauss_newton",
    "curvature_includes_regularization": False,
}


def probabilities(model: TrainedModel) -> torch.Tensor:
    """That of each training example's own class."""
    outputs = model.network(model.parameters, model.inputs)
    return torch.softmax(outputs, dim=1).gather(1, model.targets.unsqueeze(1)).squeeze(1)


def margin_gradients(model: TrainedModel) -> torch.Tensor:
    """Gradients (n, P) of log(p / (1 - p)) by torch's own backward."""
    layout = model.network.layout

    def margins(flat: torch.Tensor) -> torch.Tensor:
        p = probabilities(replace(model, parameters=layout.unflatten(flat)))
        return torch.log(p / (1 - p))

    found: torch.Tensor = torch.autograd.functional.jacobian(margins, model.vector(layout))
    return found


def written_out(
    model: TrainedModel,
    damping: float,
    R: torch.Tensor | None = None,
    weights: torch.Tensor | None = None,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Products of features (T, n), Q (n,), and 1 - p of the tests (T,)."""
    test, train = both_gradients(model, margin_gradients)
    if R is not None:
        test, train = test @ R, train @ R
    n = len(train)
    weighted = train if weights is None else train * weights.unsqueeze(1)
    matrix = train.T @ weighted / n + damping * torch.eye(train.shape[1], dtype=train.dtype)
    products = test @ torch.linalg.solve(matrix, train.T) / n
    return products, 1 - probabilities(model), 1 - probabilities(on_test(model))


def scores(products: torch.Tensor, residuals: torch.Tensor, slopes: torch.Tensor) -> torch.Tensor:
    return slopes.unsqueeze(1) * products * residuals


@pytest.mark.parametrize("name", NETWORKS)
def test_the_formula_without_projection(name: str) -> None:
    model = example(name)
    wanted = scores(*written_out(model, damping=0.1))
    for dimensions in (None, model.network.layout.size):
        found = TRAK(dimensions=dimensions, damping=0.1).estimate(model, torch.arange(4))
        torch.testing.assert_close(found.scores, wanted, rtol=1e-9, atol=1e-12)
        assert float(found.by_test_point["relative_residual"].max()) < 1e-12


def projection(model: TrainedModel, dimensions: int, place: int) -> torch.Tensor:
    """The matrix R (P, k) that a model is given in its place of an ensemble."""
    size, kind = model.network.layout.size, "rademacher"
    seed = derive_seed(5, "trak", place)
    made = Projection(size, dimensions, kind, seed, torch.float64, torch.device("cpu"))  # type: ignore[arg-type]
    return made.back(torch.eye(dimensions, dtype=torch.float64)).T


@pytest.mark.parametrize("name", ["tanh", "convolution", "residual"])
def test_the_formula_with_projection(name: str) -> None:
    model = example(name)
    R = projection(model, 7, 0)
    wanted = scores(*written_out(model, damping=0.1, R=R))
    found = TRAK(dimensions=7, damping=0.1, seed=5).estimate(model, torch.arange(4))
    torch.testing.assert_close(found.scores, wanted, rtol=1e-9, atol=1e-12)
    assert found.diagnostics == {"damping": 0.1, "feature_dimensions": 7}


def test_an_ensemble_averages_its_parts_one_by_one() -> None:
    first = example("tanh")
    flat = first.vector(first.network.layout)
    models = [first, with_parameters(first, 1.5 * flat.flip(0))]
    parts = [written_out(m, 0.1, projection(m, 7, k)) for k, m in enumerate(models)]
    means = [torch.stack(part).mean(dim=0) for part in zip(*parts, strict=True)]
    wanted = scores(means[0], means[1], means[2])
    estimator = TRAK(dimensions=7, damping=0.1, seed=5, ensemble=2)
    found = estimator.estimate_together(models, torch.arange(4)).scores
    torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-12)
    of_each = torch.stack([scores(*part) for part in parts]).mean(dim=0)
    assert not torch.allclose(found, of_each, rtol=1e-2)


@pytest.mark.parametrize("architecture", [Linear(), TANH], ids=["linear", "mlp"])
def test_one_output_is_exact(architecture: Linear | MLP) -> None:
    """Squared error has the same curvature everywhere: no weight is left out but the 2."""
    model = trained(architecture, "regression", WeightDecay(strength=0.05), outputs=1)
    exact = Exact(**GAUSS_NEWTON, damping=0.02).estimate(model, ALL_TEST).scores
    found = TRAK(dimensions=None, damping=0.01).estimate(model, ALL_TEST).scores
    torch.testing.assert_close(found, exact, rtol=1e-8, atol=1e-11)


@pytest.mark.parametrize("architecture", [Linear(), TANH], ids=["logistic", "mlp"])
def test_two_classes_are_exact_but_for_the_weights(architecture: Linear | MLP) -> None:
    """With p (1 - p) put back into Phi^T Phi the formula is the exact score; TRAK has ones."""
    model = trained(architecture, "classification", WeightDecay(strength=0.05), outputs=2)
    p = probabilities(model)
    exact = Exact(**GAUSS_NEWTON, damping=0.01).estimate(model, ALL_TEST).scores
    weighted = scores(*written_out(model, 0.01, weights=p * (1 - p)))
    torch.testing.assert_close(weighted, exact, rtol=1e-8, atol=1e-11)
    found = TRAK(dimensions=None, damping=0.01).estimate(model, ALL_TEST).scores
    torch.testing.assert_close(found, scores(*written_out(model, 0.01)), rtol=1e-8, atol=1e-11)


def test_undecided_models_are_exact_up_to_a_factor() -> None:
    """Where every p is 1/2 all weights are 1/4."""
    model = trained(TANH, "classification", WeightDecay(strength=0.05), outputs=2)
    zeros = {name: torch.zeros_like(model.parameters[name]) for name in ("3.weight", "3.bias")}
    model = replace(model, parameters={**model.parameters, **zeros})
    exact = Exact(**GAUSS_NEWTON, damping=0.01 / 4).estimate(model, ALL_TEST).scores
    found = TRAK(dimensions=None, damping=0.01).estimate(model, ALL_TEST).scores
    torch.testing.assert_close(found, exact / 4, rtol=1e-9, atol=1e-13)


def test_few_examples_are_exact_up_to_their_own_weight() -> None:
    """Each score is the exact one times the weight w_i = p_i (1 - p_i) of its own example.

    With no more examples than dimensions phi_t = Phi^T a, and phi_t^T (Phi^T W Phi)^-1 phi_i is
    a_i / w_i.
    """
    model = trained(Linear(), "classification", WeightDecay(strength=0.05), n=6, outputs=2)
    p = probabilities(model)
    exact = Exact(**GAUSS_NEWTON, damping=1e-12).estimate(model, ALL_TEST).scores
    found = TRAK(dimensions=None, damping=1e-12).estimate(model, ALL_TEST).scores
    torch.testing.assert_close(found, exact * p * (1 - p), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("distribution", ["rademacher", "normal"])
def test_projections_converge_to_none(distribution: str) -> None:
    """The error falls as one over the root of the dimensions, and the order of scores returns."""
    few_steps = converging().model_copy(update={"steps": 20})
    wide, decay = MLP(hidden=(80,), activation="tanh"), WeightDecay(strength=0.05)
    model = trained(wide, "classification", decay, training=few_steps)
    whole = TRAK(dimensions=None, damping=0.5).estimate(model, ALL_TEST).scores
    errors, ranks = [], []
    for dimensions in (8, 32, 128, 512):
        fields = {"dimensions": dimensions, "damping": 0.5, "distribution": distribution}
        found = TRAK.model_validate(fields).estimate(model, ALL_TEST)
        assert found.diagnostics["feature_dimensions"] == dimensions
        errors.append(float((found.scores - whole).norm() / whole.norm()))
        ranks.append(spearmanr(found.scores.flatten(), whole.flatten()).statistic)
    assert ranks == sorted(ranks)
    assert ranks[-1] > 0.95
    # Sixteen times the dimensions, a quarter of the error.
    assert errors[3] / errors[1] == pytest.approx(1 / 4, rel=0.5)


def test_small_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    model = example("convolution")
    estimator = TRAK(dimensions=7)
    whole = estimator.estimate(model, torch.arange(4)).scores
    monkeypatch.setattr("fragility.numerics.gradients.BLOCK_BYTES", 1)
    monkeypatch.setattr("fragility.numerics.projection.HELD_BYTES", 0)
    monkeypatch.setattr("fragility.numerics.projection.PART_BYTES", 1)
    again = estimator.estimate(model, torch.arange(4)).scores
    torch.testing.assert_close(again, whole, rtol=1e-10, atol=1e-13)


def test_relative_damping_is_in_the_unit_of_the_features() -> None:
    model = example("tanh")
    _, train = both_gradients(model, margin_gradients)
    mean = float(train.square().sum()) / (model.n * train.shape[1])
    found = TRAK(dimensions=None).estimate(model, torch.arange(4))
    assert found.diagnostics["damping"] == pytest.approx(mean, rel=1e-9)


def test_margins_keep_their_digits() -> None:
    outputs = torch.tensor([[1.0, 2.0, -1.0], [0.0, 800.0, 3.0], [40.0, 0.0, 0.0]]).double()
    p = torch.softmax(outputs[0], dim=0)[2]
    found = margin(outputs, torch.tensor([2, 0, 0]))
    assert float(found[0]) == pytest.approx(float(torch.log(p / (1 - p))), rel=1e-12)
    assert float(found[1]) == -800
    # 1 - p is 8.5e-18 here: written as log(p / (1 - p)) it would be infinite.
    assert float(found[2]) == pytest.approx(40 - math.log(2), rel=1e-12)


def test_dependent_features_need_damping() -> None:
    """The logits have a common shift that no margin sees: more parameters than dimensions."""
    model = trained(Linear(), "classification", WeightDecay(strength=0.05))
    with pytest.raises(MethodFailure, match=r"linearly dependent.*`damping` above 0"):
        TRAK(dimensions=None, damping=0).estimate(model, ALL_TEST)
    TRAK(dimensions=4, damping=0).estimate(model, ALL_TEST)


def test_what_trak_cannot_do(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(MethodFailure, match="this regression has 3 outputs"):
        TRAK().estimate(example("tanh", "regression"), torch.arange(4))
    model = example("tanh")
    broken = with_parameters(model, torch.full((model.network.layout.size,), torch.nan).double())
    with pytest.raises(MethodFailure, match="diverged"):
        TRAK().estimate(broken, torch.arange(4))
    monkeypatch.setattr("fragility.estimators.exact.DENSE_BYTES", 3 * 8 * 10**2)
    with pytest.raises(MethodFailure, match=r"at most 10 dimensions.*smaller number"):
        TRAK(dimensions=None).estimate(model, torch.arange(4))
    TRAK(dimensions=10).estimate(model, torch.arange(4))
