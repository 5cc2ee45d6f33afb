"""The damped inverse against numpy's eigenvalues and solutions, however it is computed."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fragility.numerics import inverse as module
from fragility.numerics.inverse import Inverse, NegativeCurvature

SIZE = 30
SPECTRA = {
    "definite": np.linspace(0.1, 5, SIZE),
    "indefinite": np.concatenate([[-0.7, -0.2, -0.05], np.linspace(0.1, 5, SIZE - 3)]),
    "singular": np.concatenate([np.zeros(5), np.linspace(0.1, 5, SIZE - 5)]),
}


def matrix(name: str) -> np.ndarray:
    basis, _ = np.linalg.qr(np.random.default_rng(0).standard_normal((SIZE, SIZE)))
    return (basis * SPECTRA[name]) @ basis.T


@pytest.mark.parametrize("factored", [False, True])
@pytest.mark.parametrize("damping", [0.01, 0.4, 1.0])
@pytest.mark.parametrize("name", SPECTRA)
def test_solutions_and_the_ends_of_the_spectrum(
    name: str, damping: float, factored: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if factored:
        monkeypatch.setattr(module, "EIGEN_LIMIT", 0)
    C = matrix(name)
    rhs = np.random.default_rng(1).standard_normal((4, SIZE))
    inverse = Inverse(torch.from_numpy(C), damping, "keep")
    damped = C + damping * np.eye(SIZE)
    expected = np.linalg.solve(damped, rhs.T).T
    solution = inverse.solve(torch.from_numpy(rhs))
    np.testing.assert_allclose(solution.numpy(), expected, rtol=1e-8, atol=1e-9)
    values = SPECTRA[name]
    assert inverse.ends.top == pytest.approx(values.max(), rel=1e-5)
    assert inverse.ends.bottom == pytest.approx(values.min(), rel=1e-4, abs=1e-9)
    assert inverse.ends.negative == int((values < 0).sum())
    sizes = np.abs(values + damping)
    assert inverse.condition == pytest.approx(sizes.max() / sizes.min(), rel=1e-4)
    residual = inverse.residual(torch.from_numpy(rhs), solution)
    assert residual is not None
    assert float(residual.max()) < 1e-11


@pytest.mark.parametrize("policy", ["clip", "absolute"])
def test_negative_eigenvalues_can_be_bent(policy: NegativeCurvature) -> None:
    C = matrix("indefinite")
    rhs = np.random.default_rng(1).standard_normal((4, SIZE))
    values, vectors = np.linalg.eigh(C)
    bent = np.maximum(values, 0) if policy == "clip" else np.abs(values)
    expected = rhs @ vectors / (bent + 0.3) @ vectors.T
    inverse = Inverse(torch.from_numpy(C), 0.3, policy)
    solution = inverse.solve(torch.from_numpy(rhs))
    np.testing.assert_allclose(solution.numpy(), expected, rtol=1e-9, atol=1e-10)
    assert inverse.ends.negative == 3
    assert inverse.residual(torch.from_numpy(rhs), solution) is None


@pytest.mark.parametrize("factored", [False, True])
def test_a_singular_matrix_has_no_inverse(factored: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if factored:
        monkeypatch.setattr(module, "EIGEN_LIMIT", 0)
    exactly = torch.diag(torch.tensor([0.0, 1.0, 2.0], dtype=torch.float64))
    inverse = Inverse(exactly, 0.0, "keep")
    solution = inverse.solve(torch.ones(1, 3, dtype=torch.float64))
    assert not bool(torch.isfinite(solution).all())
