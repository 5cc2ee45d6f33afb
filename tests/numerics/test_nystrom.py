"""The Nystroem approximation and its inverse against numpy's dense algebra."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fragility.numerics.nystrom import Sketch, sketch, solve_dense, solve_with_diagonal


def orthonormal(count: int, size: int, seed: int) -> torch.Tensor:
    random = np.random.default_rng(seed).standard_normal((size, count))
    return torch.from_numpy(np.linalg.qr(random)[0].T.copy())


def semidefinite(size: int, rank: int, seed: int) -> torch.Tensor:
    """A matrix of given rank whose eigenvalues decay."""
    basis = orthonormal(rank, size, seed + 1)
    return basis.T @ (torch.logspace(0, -3, rank, dtype=torch.float64).unsqueeze(1) * basis)


def approximation(found: Sketch) -> np.ndarray:
    return (found.factor.T @ found.factor).numpy()


SIZE = 20
RANKS = st.integers(1, SIZE)


@settings(max_examples=50)
@given(rank=RANKS, count=RANKS, seed=st.integers(0, 1000))
def test_the_approximation_is_the_formula(rank: int, count: int, seed: int) -> None:
    A, rows = semidefinite(SIZE, rank, seed), orthonormal(count, SIZE, seed)
    found = sketch(rows, rows @ A)
    assert found.semidefinite
    Y, core = (A @ rows.T).numpy(), (rows @ A @ rows.T).numpy()
    expected = Y @ np.linalg.pinv(core, rcond=1e-12, hermitian=True) @ Y.T
    np.testing.assert_allclose(approximation(found), expected, rtol=0, atol=1e-9)
    values = np.linalg.eigvalsh(expected)[::-1][: len(found.eigenvalues)]
    np.testing.assert_allclose(found.eigenvalues.numpy(), values, rtol=0, atol=1e-9)


@settings(max_examples=50)
@given(rank=RANKS, count=st.integers(1, SIZE - 1), seed=st.integers(0, 1000))
def test_more_rows_bring_it_nearer_from_below(rank: int, count: int, seed: int) -> None:
    """Loewner order: A_k <= A_{k+1} <= A, the law that the Schur complement gives."""
    A, rows = semidefinite(SIZE, rank, seed), orthonormal(count + 1, SIZE, seed)
    fewer, more = sketch(rows[:-1], rows[:-1] @ A), sketch(rows, rows @ A)
    gain = approximation(more) - approximation(fewer)
    left = A.numpy() - approximation(more)
    assert np.linalg.eigvalsh(gain)[0] > -1e-9
    assert np.linalg.eigvalsh(left)[0] > -1e-9


@given(rank=RANKS, seed=st.integers(0, 1000))
def test_as_many_rows_as_the_rank_give_the_matrix_itself(rank: int, seed: int) -> None:
    A = semidefinite(SIZE, rank, seed)
    for count in {rank, SIZE}:
        rows = orthonormal(count, SIZE, seed)
        np.testing.assert_allclose(approximation(sketch(rows, rows @ A)), A, rtol=0, atol=1e-8)


@given(negative=st.floats(1e-9, 1.0), seed=st.integers(0, 1000))
def test_negative_eigenvalues_show_in_the_full_sketch(negative: float, seed: int) -> None:
    A, rows = semidefinite(SIZE, SIZE, seed), orthonormal(SIZE, SIZE, seed + 5)
    direction = orthonormal(1, SIZE, seed + 9)[0]
    A = A - (direction @ A @ direction + negative) * torch.outer(direction, direction)
    found = sketch(rows, rows @ A)
    assert not found.semidefinite
    np.testing.assert_allclose(found.bottom, np.linalg.eigvalsh(A.numpy())[0], rtol=1e-4)


@settings(max_examples=50)
@given(
    count=RANKS,
    low=st.floats(-6, 0),
    seed=st.integers(0, 1000),
)
def test_the_inverse_with_a_diagonal_is_that_of_numpy(count: int, low: float, seed: int) -> None:
    random = np.random.default_rng(seed)
    factor = random.standard_normal((count, SIZE))
    diagonal = 10 ** random.uniform(low, 0, SIZE)
    rhs = random.standard_normal((3, SIZE))
    matrix = factor.T @ factor + np.diag(diagonal)
    expected = np.linalg.solve(matrix, rhs.T).T
    arguments = [torch.from_numpy(array) for array in (factor, diagonal, rhs)]
    for solve in (solve_with_diagonal, solve_dense):
        found = solve(*arguments).numpy()
        error = np.linalg.norm(found - expected) / np.linalg.norm(expected)
        assert error < 1e-13 * np.linalg.cond(matrix)


def test_no_factor_leaves_the_diagonal() -> None:
    none = torch.zeros(0, 3, dtype=torch.float64)
    diagonal = torch.tensor([1.0, 2.0, 4.0], dtype=torch.float64)
    rhs = torch.ones(1, 3, dtype=torch.float64)
    torch.testing.assert_close(solve_with_diagonal(none, diagonal, rhs), rhs / diagonal)


def test_a_singular_sum_has_no_finite_solution() -> None:
    factor = torch.tensor([[1.0, 0.0]], dtype=torch.float64)
    solved = solve_dense(factor, torch.zeros(2).double(), torch.ones(1, 2).double())
    assert not bool(torch.isfinite(solved).all())
