"""Dattri's influence functions in our units, where they are exact and where they are not."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from fragility.errors import MethodFailure
from fragility.estimators._influence import RelativeDamping
from fragility.estimators._peers import Losses
from fragility.estimators.datainf import DataInf
from fragility.estimators.dattri import Dattri
from fragility.estimators.exact import Exact
from fragility.regularizers.weight_decay import WeightDecay
from tests.estimators.peers import (
    ALL_TEST,
    ARCHITECTURES,
    damped_hessian,
    fitted,
    no_trace,
    train_and_test_gradients,
)
from tests.numerics.networks import example

EVEN = WeightDecay(strength=0.05)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_explicit_is_exact(name: str) -> None:
    model = fitted(name)
    found = Dattri(damping=0.01).estimate(model, ALL_TEST)
    expected = Exact(damping=0.01).estimate(model, ALL_TEST).scores
    torch.testing.assert_close(found.scores, expected, rtol=1e-8, atol=1e-12)
    assert float(found.by_test_point["relative_residual"].max()) < 1e-9


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
    found = Dattri.model_validate(given).estimate(model, ALL_TEST).scores
    expected = Exact.model_validate(given).estimate(model, ALL_TEST).scores
    torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-12)


def test_indefinite_hessians_and_convolutions() -> None:
    model, tests = example("convolution"), torch.arange(4)
    expected = Exact(damping=0.3).estimate(model, tests)
    assert expected.diagnostics["curvature_negative_eigenvalues"] > 0
    found = Dattri(damping=0.3).estimate(model, tests).scores
    torch.testing.assert_close(found, expected.scores, rtol=1e-7, atol=1e-10)


def test_float32() -> None:
    model = fitted("mlp")
    found = Dattri(damping=0.01, dtype="float32").estimate(model, ALL_TEST).scores
    expected = Exact(damping=0.01).estimate(model, ALL_TEST).scores
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), expected, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("name", ["linear", "mlp"])
def test_scores_are_those_of_attribute(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    """Without penalty or damping, dattri's own loop on plain losses, in the float32 it keeps."""
    from dattri.algorithm import IFAttributorExplicit
    from dattri.task import AttributionTask

    model = fitted(name, EVEN)
    losses = Losses(model, model.network.layout, torch.zeros(model.network.layout.size))
    attributor = IFAttributorExplicit(
        AttributionTask(losses.mean, losses, losses.state_dict()), regularization=0.06
    )
    train = DataLoader(TensorDataset(model.inputs, model.targets), batch_size=model.n)
    attributor.cache(train)
    tests = TensorDataset(model.test_inputs, model.test_targets)
    given = attributor.attribute(train, DataLoader(tests, batch_size=4)).detach()
    capfd.readouterr()
    found = Dattri(damping=0.01).estimate(model, ALL_TEST).scores
    torch.testing.assert_close(found.float(), given.T / model.n, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["linear", "mlp"])
def test_conjugate_gradients_are_exact_after_as_many_steps_as_parameters(name: str) -> None:
    model = fitted(name)
    steps = model.network.layout.size
    found = Dattri(method="cg", damping=0.05, iterations=steps).estimate(model, ALL_TEST)
    expected = Exact(damping=0.05).estimate(model, ALL_TEST).scores
    torch.testing.assert_close(found.scores, expected, rtol=1e-7, atol=1e-10)


def test_conjugate_gradients_in_blocks_of_test_points(monkeypatch: pytest.MonkeyPatch) -> None:
    model = fitted("mlp")
    estimator = Dattri(method="cg", damping=0.05)
    together = estimator.estimate(model, ALL_TEST)
    monkeypatch.setattr("fragility.numerics.gradients.BLOCK_BYTES", 1)
    apart = estimator.estimate(model, ALL_TEST)
    torch.testing.assert_close(apart.scores, together.scores, rtol=1e-9, atol=1e-13)


def test_the_residual_tells_how_far_conjugate_gradients_came() -> None:
    model = fitted("mlp")
    few, more = (
        Dattri(method="cg", damping=0.01, iterations=steps).estimate(model, ALL_TEST)
        for steps in (3, 12)
    )
    exact = Exact(damping=0.01).estimate(model, ALL_TEST).scores
    for result in (few, more):
        residual = result.by_test_point["relative_residual"]
        # |x - x*| is at most |A^-1| |residual|, and scores are products with it.
        train, test = train_and_test_gradients(model)
        bound = residual * test.norm(dim=1) / torch.linalg.eigvalsh(damped_hessian(model, 0.01))[0]
        wrong = (result.scores - exact).abs()
        assert bool((wrong <= bound.unsqueeze(1) * train.norm(dim=1) / model.n).all())
    assert bool((few.by_test_point["relative_residual"] > 0.01).all())
    assert bool((more.by_test_point["relative_residual"] < 0.01).all())


def test_conjugate_gradients_that_go_on_for_too_long_fail() -> None:
    model = fitted("least-squares-3")
    with pytest.raises(MethodFailure, match="Lower `iterations`"):
        Dattri(method="cg", damping=0.01, iterations=200).estimate(model, ALL_TEST)


@pytest.mark.parametrize("rank", [1, 3])
def test_arnoldi_finds_the_largest_eigenvectors(rank: int) -> None:
    model = fitted("mlp")
    values, vectors = torch.linalg.eigh(damped_hessian(model, 0.01))
    train, test = train_and_test_gradients(model)
    along, kept = vectors[:, -rank:], values[-rank:]
    expected = (test @ along / kept) @ (train @ along).T / model.n
    estimator = Dattri(method="arnoldi", rank=rank, iterations=25, damping=0.01)
    found = estimator.estimate(model, ALL_TEST).scores
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-9)


def test_arnoldi_of_an_indefinite_hessian_fails() -> None:
    with pytest.raises(MethodFailure, match="not finite"):
        Dattri(method="arnoldi", iterations=15).estimate(example("tanh"), torch.arange(4))


def test_datainf_is_the_mean_of_the_inverses_of_single_examples() -> None:
    model = fitted("mlp", EVEN)
    train, test = train_and_test_gradients(model)
    added = 0.05 + 0.2
    expected = torch.zeros(8, model.n, dtype=torch.float64)
    start = 0
    for size in (5 * 4 + 4, 4 * 3 + 3):
        g, v = train[:, start : start + size], test[:, start : start + size]
        start += size
        inverses = [
            torch.linalg.inv(torch.outer(row, row) + added * torch.eye(size, dtype=row.dtype))
            for row in g
        ]
        expected += v @ torch.stack(inverses).mean(dim=0) @ g.T / model.n
    found = Dattri(method="datainf", damping=0.2).estimate(model, ALL_TEST).scores
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-13)


def test_datainf_is_ours() -> None:
    model = fitted("mlp", EVEN)
    found = Dattri(method="datainf", damping=0.2).estimate(model, ALL_TEST).scores
    ours = DataInf(damping=0.2).estimate(model, ALL_TEST).scores
    torch.testing.assert_close(found, ours, rtol=1e-9, atol=1e-13)


def test_datainf_takes_one_strength_of_the_penalty() -> None:
    with pytest.raises(MethodFailure, match="curvature_includes_regularization: false"):
        Dattri(method="datainf", damping=0.1).estimate(fitted("mlp"), ALL_TEST)
    model = fitted("linear", EVEN)
    with pytest.raises(MethodFailure, match="Give a `damping` above 0"):
        Dattri(method="datainf", curvature_includes_regularization=False).estimate(model, ALL_TEST)


@pytest.mark.parametrize("method", ["explicit", "cg", "arnoldi", "datainf"])
def test_it_leaves_no_trace(method: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    model = fitted("mlp", EVEN)
    estimator = Dattri.model_validate({"method": method, "rank": 2, "iterations": 10})
    with no_trace(model, tmp_path, capfd):
        estimator.estimate(model, ALL_TEST)


def test_hessians_that_fit_no_memory_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    # 18 parameters, 40 examples, 5 flattened inputs and 3 outputs of 8 bytes.
    size = 18 * 40 * (5 + 3) * 8
    model = fitted("linear", EVEN)
    monkeypatch.setattr("fragility.estimators._peers.LARGEST_BYTES", size - 1)
    with pytest.raises(MethodFailure, match="18 parameters over 40 examples"):
        Dattri().estimate(model, ALL_TEST)
    monkeypatch.setattr("fragility.estimators._peers.LARGEST_BYTES", size)
    Dattri().estimate(model, ALL_TEST)
