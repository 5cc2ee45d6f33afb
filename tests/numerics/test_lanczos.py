"""Krylov spaces against numpy's eigenvalues and scipy's Lanczos."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse.linalg import eigsh

from fragility.errors import MethodFailure
from fragility.numerics.lanczos import (
    krylov_space,
    normal_vectors,
    ritz_pairs,
    ritz_values,
    rounding,
)


def symmetric(values: np.ndarray, seed: int = 0) -> torch.Tensor:
    """A matrix with given eigenvalues and random eigenvectors."""
    random = np.random.default_rng(seed).standard_normal((len(values), len(values)))
    basis, _ = np.linalg.qr(random)
    return torch.from_numpy((basis * values) @ basis.T)


def times(A: torch.Tensor) -> Callable[[torch.Tensor], torch.Tensor]:
    return lambda rows: rows @ A


@settings(max_examples=25)
@given(
    values=st.lists(
        st.sampled_from([-3.0, -1e-3, 0.0, 1e-3, 0.5, 2.0, 100.0]), min_size=1, max_size=25
    ).map(np.array),
    seed=st.integers(0, 1000),
)
def test_the_full_space_holds_every_eigenvalue_as_often_as_it_occurs(
    values: np.ndarray, seed: int
) -> None:
    A = symmetric(values, seed)
    space = krylov_space(times(A), len(A), normal_vectors(seed, A[0]))
    identity = torch.eye(len(A), dtype=A.dtype)
    torch.testing.assert_close(space.basis @ space.basis.T, identity, rtol=0, atol=1e-12)
    size = float(np.abs(values).max()) or 1.0
    within = space.basis @ A @ space.basis.T
    torch.testing.assert_close(space.matrix, within, rtol=0, atol=1e-11 * size)
    found = ritz_values(space).numpy()
    np.testing.assert_allclose(found, np.sort(values), rtol=0, atol=1e-11 * size)


@pytest.mark.parametrize("value", [0.0, 3.0])
def test_a_space_that_closes_at_once_goes_on(value: float) -> None:
    A = value * torch.eye(6, dtype=torch.float64)
    space = krylov_space(times(A), 6, normal_vectors(0, A[0]))
    torch.testing.assert_close(space.basis @ space.basis.T, torch.eye(6, dtype=A.dtype))
    torch.testing.assert_close(space.matrix, A)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_long_space_stays_orthonormal(dtype: torch.dtype) -> None:
    """Eigenvalues that decay fast are found early: without reorthogonalization they come again."""
    A = symmetric(np.logspace(0, -12, 200)).to(dtype)
    space = krylov_space(times(A), 120, normal_vectors(0, A[0]))
    defect = space.basis @ space.basis.T - torch.eye(120, dtype=dtype)
    assert float(defect.abs().max()) < 100 * torch.finfo(dtype).eps


def test_the_largest_pairs_are_those_of_scipy() -> None:
    random = np.random.default_rng(3).standard_normal((300, 300))
    A = torch.from_numpy(random + random.T)
    found = ritz_pairs(krylov_space(times(A), 120, normal_vectors(5, A[0])), 6)
    values, vectors = eigsh(A.numpy(), k=6, which="LM", v0=random[0])
    order = np.argsort(-np.abs(values))
    np.testing.assert_allclose(found.values.numpy(), values[order], rtol=1e-9)
    overlap = np.abs(found.vectors.numpy() @ vectors[:, order])
    np.testing.assert_allclose(overlap, np.eye(6), rtol=0, atol=1e-6)


@given(seed=st.integers(0, 1000), dimension=st.integers(1, 30))
def test_ritz_values_interlace(seed: int, dimension: int) -> None:
    """Cauchy: the k-th largest of a subspace is at most the k-th largest of the whole."""
    values = np.random.default_rng(seed).standard_normal(30)
    A = symmetric(values, seed)
    found = ritz_values(krylov_space(times(A), dimension, normal_vectors(seed, A[0]))).numpy()
    whole = np.sort(values)
    assert (found <= whole[-dimension:] + 1e-12).all()
    assert (found >= whole[:dimension] - 1e-12).all()


def test_a_longer_series_of_draws_begins_with_a_shorter_one() -> None:
    like = torch.zeros(37, dtype=torch.float64)
    one, other = normal_vectors(4, like), normal_vectors(4, like)
    first = [one() for _ in range(3)]
    assert all(torch.equal(a, other()) for a in first)
    assert not torch.equal(first[0], first[1])


def test_a_matrix_that_is_not_finite_is_refused() -> None:
    A = torch.full((4, 4), float("nan"), dtype=torch.float64)
    with pytest.raises(MethodFailure, match="not finite"):
        krylov_space(times(A), 3, normal_vectors(0, A[0]))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_rounding_bounds_the_error_of_products(dtype: torch.dtype) -> None:
    A = symmetric(np.linspace(0, 7, 400))
    rows = torch.from_numpy(np.linalg.qr(np.random.default_rng(1).standard_normal((400, 9)))[0].T)
    error = (rows.to(dtype) @ A.to(dtype)).double() - rows @ A
    largest = float(error.norm(dim=1).max())
    bound = rounding(7.0, A.to(dtype))
    if dtype == torch.float32:
        assert 1e-4 * bound < largest < bound
    assert largest < bound
