"""Kronfluence's influence functions in our units, against their formulas and our own estimators."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn.functional import unfold

from fragility.errors import MethodFailure
from fragility.estimators.ekfac import EKFAC
from fragility.estimators.grad_dot import GradDot
from fragility.estimators.kfac import KFAC
from fragility.estimators.kronfluence import Kronfluence
from fragility.models.linear import Linear
from fragility.numerics.curvature import CurvatureMatrix
from fragility.numerics.network import Network
from fragility.numerics.trained import TrainedModel
from fragility.regularizers.weight_decay import WeightDecay
from tests.estimators.peers import (
    ALL_TEST,
    ARCHITECTURES,
    fitted,
    no_trace,
    train_and_test_gradients,
)
from tests.numerics.networks import example
from tests.problems import trained

NETWORKS = ["relu", "residual", "convolution", "pooling"]


def model_of(name: str) -> TrainedModel:
    return example(name) if name in NETWORKS else fitted(name)


def points_of(model: TrainedModel) -> torch.Tensor:
    return torch.arange(len(model.test_inputs))


@pytest.mark.parametrize("name", [*ARCHITECTURES, *NETWORKS])
def test_identity_is_grad_dot(name: str) -> None:
    model = model_of(name)
    found = Kronfluence(strategy="identity").estimate(model, points_of(model)).scores
    expected = GradDot().estimate(model, points_of(model)).scores
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-15)


@pytest.mark.parametrize("name", [*ARCHITECTURES, *NETWORKS])
def test_diagonal_is_the_second_moment_of_each_entry(name: str) -> None:
    model = model_of(name)
    train, test = train_and_test_gradients(model)
    expected = test / (train.square().mean(dim=0) + 0.02) @ train.T / model.n
    estimator = Kronfluence(
        strategy="diagonal",
        empirical_fisher=True,
        damping=0.02,
        curvature_includes_regularization=False,
    )
    found = estimator.estimate(model, points_of(model)).scores
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-14)


def kronecker_scores(
    model: TrainedModel, A: torch.Tensor, S: torch.Tensor, damping: float
) -> torch.Tensor:
    """Scores of one layer, (1/n) g_t^T (S x A + damping I)^-1 g_i, all written out."""
    train, test = train_and_test_gradients(model)
    k, d = len(S), len(A) - 1
    order = [i * d + j if j < d else k * d + i for i in range(k) for j in range(d + 1)]
    matrix = torch.kron(S, A) + damping * torch.eye(k * (d + 1), dtype=A.dtype)
    return test[:, order] @ torch.linalg.solve(matrix, train[:, order].T) / model.n


def test_kfac_of_a_dense_layer_written_out() -> None:
    model = fitted("linear")
    ones = torch.ones(model.n, 1, dtype=torch.float64)
    a = torch.cat([model.inputs, ones], dim=1)
    logits = model.inputs @ model.parameters["1.weight"].T + model.parameters["1.bias"]
    delta = torch.softmax(logits, dim=1) - nn.functional.one_hot(model.targets, 3)
    A, S = a.T @ a / model.n, delta.T @ delta / model.n
    # 0.05 is the penalty's strength.
    expected = kronecker_scores(model, A, S, damping=0.05 + 0.01)
    estimator = Kronfluence(strategy="kfac", empirical_fisher=True, damping=0.01)
    found = estimator.estimate(model, ALL_TEST)
    torch.testing.assert_close(found.scores, expected, rtol=1e-9, atol=1e-13)
    assert found.diagnostics["damping"] == pytest.approx(0.06)


def one_convolution() -> TrainedModel:
    """A convolution and nothing behind it that has parameters."""
    model = example("convolution")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = nn.Sequential(nn.Conv2d(2, 3, 3), nn.Tanh(), nn.AvgPool2d(2), nn.Flatten())
    return replace(
        model,
        network=Network(module.eval()),
        parameters={n: p.detach().double() for n, p in module.named_parameters()},
        decay={"0.weight": 0.0, "0.bias": 0.0},
    )


def test_kfac_of_a_convolution_takes_both_factors_as_means_over_its_places() -> None:
    model = one_convolution()
    places = unfold(model.inputs, 3).transpose(1, 2)
    a = torch.cat([places, torch.ones(*places.shape[:2], 1, dtype=places.dtype)], dim=2)
    layer, rest = model.network.module[0], model.network.module[1:]
    named = dict(zip(("weight", "bias"), model.parameters.values(), strict=True))
    outputs = torch.func.functional_call(layer, named, (model.inputs,)).requires_grad_()
    losses = model.loss.per_example(rest(outputs), model.targets)
    delta = torch.autograd.grad(losses.sum(), outputs)[0].flatten(2).transpose(1, 2)
    rows = model.n * a.shape[1]
    A, S = a.flatten(0, 1), delta.flatten(0, 1)
    A, S = A.T @ A / rows, S.T @ S / rows
    estimator = Kronfluence(strategy="kfac", empirical_fisher=True, damping=0.01)
    found = estimator.estimate(model, torch.arange(4)).scores
    torch.testing.assert_close(
        found, kronecker_scores(model, A, S, damping=0.01), rtol=1e-9, atol=1e-13
    )
    # Grosse and Martens, and ours: the first factor is a sum over places.
    ours = KFAC(labels="observed", damping=0.01).estimate(model, torch.arange(4)).scores
    summed = kronecker_scores(model, A * a.shape[1], S, damping=0.01)
    torch.testing.assert_close(ours, summed, rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize("name", [*ARCHITECTURES, "relu", "residual"])
def test_kfac_is_ours(name: str) -> None:
    model = model_of(name)
    found = Kronfluence(
        strategy="kfac",
        empirical_fisher=True,
        damping=0.01,
        curvature_includes_regularization=False,
    )
    ours = KFAC(labels="observed", damping=0.01, curvature_includes_regularization=False)
    torch.testing.assert_close(
        found.estimate(model, points_of(model)).scores,
        ours.estimate(model, points_of(model)).scores,
        rtol=1e-9,
        atol=1e-13,
    )


@pytest.mark.parametrize("name", [*ARCHITECTURES, *NETWORKS])
def test_ekfac_is_ours(name: str) -> None:
    model = model_of(name)
    found = Kronfluence(
        strategy="ekfac",
        empirical_fisher=True,
        damping=0.01,
        curvature_includes_regularization=False,
    )
    ours = EKFAC(labels="observed", damping=0.01, curvature_includes_regularization=False)
    torch.testing.assert_close(
        found.estimate(model, points_of(model)).scores,
        ours.estimate(model, points_of(model)).scores,
        rtol=1e-8,
        atol=1e-12,
    )


@pytest.mark.parametrize("strategy", ["kfac", "ekfac"])
def test_the_heuristic_damping_is_a_tenth_of_each_layers_mean_eigenvalue(strategy: str) -> None:
    model = fitted("mlp")
    given = {"strategy": strategy, "empirical_fisher": True}
    ours = {"kfac": KFAC, "ekfac": EKFAC}[strategy](
        labels="observed", curvature_includes_regularization=False
    )
    torch.testing.assert_close(
        Kronfluence.model_validate(given).estimate(model, ALL_TEST).scores,
        ours.estimate(model, ALL_TEST).scores,
        rtol=1e-8,
        atol=1e-12,
    )


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_drawn_labels_give_the_gauss_newton_matrix_of_many_examples(task: str) -> None:
    model = trained(Linear(), task, WeightDecay(strength=0.1), n=4000)
    diagonal = CurvatureMatrix(model, model.network.layout, "gauss_newton").dense().diagonal()
    few = replace(model, inputs=model.inputs[:20], targets=model.targets[:20])
    train, test = train_and_test_gradients(few)
    expected = test / diagonal @ train.T / model.n
    first, second = (
        Kronfluence(strategy="diagonal", damping=0, seed=seed).estimate(model, ALL_TEST).scores
        for seed in (0, 1)
    )
    scale = expected.abs().max()
    # Each entry of the diagonal is a mean over 4,000 draws.
    assert float((first[:, :20] - expected).abs().max() / scale) < 0.05
    assert not torch.equal(first, second)


def test_the_same_seed_draws_the_same_labels() -> None:
    model = fitted("linear")
    first, again = (Kronfluence().estimate(model, ALL_TEST).scores for _ in range(2))
    torch.testing.assert_close(again, first, rtol=0, atol=0)


def test_last_layers() -> None:
    model = fitted("mlp")
    found = Kronfluence(empirical_fisher=True, damping=0.01, parameters="last_layer")
    ours = EKFAC(labels="observed", damping=0.01, parameters="last_layer")
    torch.testing.assert_close(
        found.estimate(model, ALL_TEST).scores,
        ours.estimate(model, ALL_TEST).scores,
        rtol=1e-8,
        atol=1e-12,
    )


def test_layers_in_the_middle_and_batches_of_examples(monkeypatch: pytest.MonkeyPatch) -> None:
    model = fitted("mlp")
    given = {"empirical_fisher": True, "parameters": ("1.*",), "damping": 0.01}
    whole = Kronfluence.model_validate(given).estimate(model, ALL_TEST).scores
    ours = EKFAC(labels="observed", damping=0.01, parameters=("1.*",))
    torch.testing.assert_close(whole, ours.estimate(model, ALL_TEST).scores, rtol=1e-8, atol=1e-12)
    monkeypatch.setattr("fragility.numerics.gradients.BLOCK_BYTES", 3 * 24 * 8 * 23)
    monkeypatch.setattr("fragility.estimators.kronfluence.TEST_ROWS", 3)
    parts = Kronfluence.model_validate(given).estimate(model, ALL_TEST).scores
    torch.testing.assert_close(parts, whole, rtol=1e-9, atol=1e-13)


def test_float32() -> None:
    model = fitted("mlp")
    given = {"empirical_fisher": True, "damping": 0.01}
    found = Kronfluence.model_validate({**given, "dtype": "float32"}).estimate(model, ALL_TEST)
    expected = Kronfluence.model_validate(given).estimate(model, ALL_TEST)
    assert found.scores.dtype == torch.float32
    torch.testing.assert_close(found.scores.double(), expected.scores, rtol=1e-3, atol=1e-5)


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner, self.outer = nn.Linear(5, 5), nn.Linear(5, 3)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        hidden = torch.tanh(self.inner(inputs.flatten(1)))
        return self.outer(torch.tanh(self.inner(hidden)))


def tied() -> TrainedModel:
    module = Tied().eval()
    return replace(
        example("tanh"),
        network=Network(module),
        parameters={n: p.detach().double() for n, p in module.named_parameters()},
        decay=dict.fromkeys(dict(module.named_parameters()), 0.0),
    )


@pytest.mark.parametrize(
    ("model", "parameters", "message"),
    [
        (fitted("mlp"), "last_layer_weight", "layer `3` is followed in part only"),
        (example("normalized"), "all", "layer `2` is no dense layer or convolution"),
        (tied(), "all", "layer `inner` is applied more than once"),
    ],
)
def test_what_it_cannot_follow_is_refused(
    model: TrainedModel, parameters: str, message: str
) -> None:
    estimator = Kronfluence.model_validate({"parameters": parameters})
    with pytest.raises(MethodFailure, match=message):
        estimator.estimate(model, torch.arange(4))


def test_penalties_of_different_strength_are_refused() -> None:
    model = example("relu")
    with pytest.raises(MethodFailure, match="not equally strong"):
        Kronfluence(damping=0.1).estimate(model, torch.arange(4))


def test_a_singular_curvature_without_damping_fails() -> None:
    model = trained(Linear(), "classification", WeightDecay(strength=0.05), n=4)
    estimator = Kronfluence(
        strategy="kfac",
        empirical_fisher=True,
        damping=0,
        curvature_includes_regularization=False,
    )
    blind = replace(model, inputs=model.inputs * 0)
    with pytest.raises(MethodFailure, match="not finite"):
        estimator.estimate(blind, ALL_TEST)


@pytest.mark.parametrize("strategy", ["ekfac", "identity"])
def test_it_leaves_no_trace(
    strategy: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    model = fitted("mlp")
    estimator = Kronfluence.model_validate({"strategy": strategy})
    with no_trace(model, tmp_path, capfd):
        estimator.estimate(model, ALL_TEST)
