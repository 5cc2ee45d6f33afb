"""Eigenvalues of the Hessian, against the matrix written out and against closed forms."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fragility.errors import MethodFailure
from fragility.models.linear import Linear
from fragility.models.mlp import MLP
from fragility.numerics import spectrum
from fragility.numerics.curvature import CurvatureMatrix
from fragility.numerics.spectrum import Spectrum
from fragility.regularizers.weight_decay import WeightDecay
from tests.problems import trained, with_parameters

STRENGTH = 0.05
SADDLE = MLP(hidden=(4,), activation="tanh")


def at_a_saddle(parameters: str = "all"):  # type: ignore[no-untyped-def]
    """A network at random parameters, where the Hessian is indefinite."""
    model = trained(SADDLE, "classification", WeightDecay(strength=STRENGTH, parameters=parameters))
    generator = torch.Generator().manual_seed(3)
    size = model.network.layout.size
    return with_parameters(model, torch.randn(size, generator=generator, dtype=torch.float64))


def test_least_squares_has_the_spectrum_of_its_design() -> None:
    model = trained(Linear(), "regression", WeightDecay(strength=STRENGTH), outputs=1)
    X = np.hstack([model.inputs.numpy(), np.ones((model.n, 1))])
    values = np.linalg.eigvalsh(2 * X.T @ X / model.n)
    found = Spectrum(model)
    assert found.end("top", False) == pytest.approx(values[-1])
    assert found.end("bottom", False) == pytest.approx(values[0])
    assert found.end("bottom", True) == pytest.approx(values[0] + STRENGTH)
    assert found.negative(True) == found.negative(False) == 0


@pytest.mark.parametrize("penalized", [False, True])
@pytest.mark.parametrize("parameters", ["all", "weights"])
def test_lanczos_finds_the_ends_that_the_dense_matrix_has(
    penalized: bool, parameters: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = at_a_saddle(parameters)
    dense = Spectrum(model)
    assert dense.dense
    expected = {which: dense.end(which, penalized) for which in ("top", "bottom")}
    monkeypatch.setattr(spectrum, "DENSE_LIMIT", 3)
    sparse = Spectrum(model)
    assert not sparse.dense
    for which, value in expected.items():
        assert sparse.end(which, penalized) == pytest.approx(value, rel=1e-4)
    assert sparse.end("top", penalized) == sparse.end("top", penalized)


def test_negative_eigenvalues_are_counted() -> None:
    model = at_a_saddle()
    matrix = CurvatureMatrix(model, model.network.layout, includes_regularization=False)
    values = torch.linalg.eigvalsh(matrix.dense())
    # Some are zero but for rounding: softmax has one output too many.
    assert int((values.abs() < 1e-12).sum()) > 0
    expected = int((values < -1e-12).sum())
    assert expected > 1
    assert Spectrum(model).negative(False) == expected
    assert Spectrum(model).negative(True) == int((values + STRENGTH < -1e-12).sum())


def test_rounding_is_not_negative() -> None:
    """Without penalty the Hessian of softmax regression is singular, not indefinite."""
    model = trained(Linear(), "classification", WeightDecay(strength=STRENGTH))
    matrix = CurvatureMatrix(model, model.network.layout, includes_regularization=False)
    values = torch.linalg.eigvalsh(matrix.dense())
    assert abs(float(values[0])) < 1e-12
    assert Spectrum(model).negative(False) == 0


def test_what_large_models_do_not_have_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spectrum, "DENSE_LIMIT", 3)
    with pytest.raises(MethodFailure, match="3 parameters at most; this model has 39"):
        Spectrum(at_a_saddle()).negative(True)


def test_a_diverged_model_has_no_spectrum() -> None:
    model = at_a_saddle()
    broken = with_parameters(model, torch.full((39,), torch.nan, dtype=torch.float64))
    with pytest.raises(MethodFailure, match="has diverged"):
        Spectrum(broken).end("top", True)
