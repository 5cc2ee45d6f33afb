"""Block conjugate gradients against direct solutions and scipy's conjugate gradients."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse.linalg import cg

from fragility.numerics.block_cg import block_conjugate_gradients


def system(size: int, condition: float, seed: int) -> torch.Tensor:
    """A symmetric matrix with eigenvalues from 1 to its condition number."""
    generator = torch.Generator().manual_seed(seed)
    random = torch.randn(size, size, generator=generator, dtype=torch.float64)
    basis, _ = torch.linalg.qr(random)
    values = torch.logspace(0, np.log10(condition), size, dtype=torch.float64)
    return (basis * values) @ basis.T


def sides(count: int, size: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed + 1)
    return torch.randn(count, size, generator=generator, dtype=torch.float64)


@settings(deadline=None, max_examples=40)
@given(
    size=st.integers(1, 60),
    count=st.integers(1, 80),
    exponent=st.floats(0, 5),
    seed=st.integers(0, 1000),
    preconditioned=st.booleans(),
    rank=st.integers(1, 80),
)
def test_solutions_are_those_of_a_direct_solver(
    size: int, count: int, exponent: float, seed: int, preconditioned: bool, rank: int
) -> None:
    """Also for more right-hand sides than dimensions, and for dependent ones."""
    A = system(size, 10**exponent, seed)
    rhs = sides(min(rank, count), size, seed)
    mixing = sides(count, len(rhs), seed + 7)
    rhs = mixing @ rhs
    scale = A.diagonal()
    found = block_conjugate_gradients(
        lambda rows: rows @ A,
        rhs,
        1e-9,
        2000,
        (lambda rows: rows / scale) if preconditioned else None,
    )
    assert float(found.residuals.max()) <= 1e-9
    expected = torch.linalg.solve(A, rhs.T).T
    error = (found.vectors - expected).norm(dim=1) / expected.norm(dim=1)
    assert float(error.max()) <= 1e-9 * 10**exponent
    true = (rhs - found.vectors @ A).norm(dim=1) / rhs.norm(dim=1)
    torch.testing.assert_close(found.residuals, true, rtol=1e-3, atol=1e-13)


def test_one_right_hand_side_is_solved_as_scipy_solves_it() -> None:
    A = system(100, 1e3, 0)
    rhs = sides(1, 100, 0)
    expected, info = cg(A.numpy(), rhs[0].numpy(), rtol=1e-10, maxiter=5000)
    found = block_conjugate_gradients(lambda rows: rows @ A, rhs, 1e-10, 5000)
    assert info == 0
    np.testing.assert_allclose(found.vectors[0].numpy(), expected, rtol=0, atol=1e-8)


def test_a_block_takes_fewer_rounds_than_one_by_one() -> None:
    A, rhs = system(200, 1e5, 1), sides(20, 200, 1)
    together = block_conjugate_gradients(lambda rows: rows @ A, rhs, 1e-8, 5000)
    alone = block_conjugate_gradients(lambda rows: rows @ A, rhs[:1], 1e-8, 5000)
    assert together.rounds < alone.rounds / 10


def test_what_cannot_be_solved_in_the_limit_says_so() -> None:
    A, rhs = system(200, 1e6, 2), sides(2, 200, 2)
    found = block_conjugate_gradients(lambda rows: rows @ A, rhs, 1e-10, 20)
    true = (rhs - found.vectors @ A).norm(dim=1) / rhs.norm(dim=1)
    assert float(true.min()) > 1e-10
    torch.testing.assert_close(found.residuals, true)
    assert found.rounds <= 22


def test_negative_curvature_is_noticed() -> None:
    A = torch.diag(torch.tensor([1.0, 2.0, -1.0, 4.0], dtype=torch.float64))
    rhs = torch.tensor([[1.0, 0.0, 2.0, 0.0], [0.0, 1.0, 3.0, 1.0]], dtype=torch.float64)
    found = block_conjugate_gradients(lambda rows: rows @ A, rhs, 1e-10, 50)
    assert found.negative_curvature
    torch.testing.assert_close(found.vectors, rhs / A.diagonal(), rtol=0, atol=1e-9)


def test_zero_right_hand_sides_have_zero_solutions() -> None:
    A = system(10, 10, 3)
    rhs = torch.cat([sides(1, 10, 3), torch.zeros(2, 10, dtype=torch.float64)])
    found = block_conjugate_gradients(lambda rows: rows @ A, rhs, 1e-10, 50)
    assert not bool(found.vectors[1:].any())
    assert float(found.residuals.max()) <= 1e-10


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_rounding_ends_the_iteration_where_the_tolerance_is_out_of_reach(
    dtype: torch.dtype,
) -> None:
    A, rhs = system(60, 1e4, 4).to(dtype), sides(3, 60, 4).to(dtype)
    found = block_conjugate_gradients(lambda rows: rows @ A, rhs, 1e-18, 2000)
    assert float(found.residuals.max()) < 1e4 * torch.finfo(dtype).eps
    assert found.rounds < 1000
