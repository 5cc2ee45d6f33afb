"""Neumann series against their closed form in the matrix's eigenvectors."""

from __future__ import annotations

from itertools import count
from itertools import product as sequences

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fragility.numerics.neumann import neumann, stochastic_neumann

SIZE = 12


def basis(seed: int) -> np.ndarray:
    random = np.random.default_rng(seed).standard_normal((SIZE, SIZE))
    return np.linalg.qr(random)[0]


def matrix(values: np.ndarray, seed: int) -> torch.Tensor:
    Q = basis(seed)
    return torch.from_numpy((Q * values) @ Q.T)


def sides(number: int, seed: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed + 1).standard_normal((number, SIZE)))


@settings(max_examples=40)
@given(
    lowest=st.floats(-3, 0),
    slack=st.floats(0.55, 5),
    depth=st.integers(1, 60),
    seed=st.integers(0, 1000),
)
def test_iterates_have_a_closed_form_and_a_geometric_rate(
    lowest: float, slack: float, depth: int, seed: int
) -> None:
    values = np.logspace(lowest, 0, SIZE)
    A, b, scale = matrix(values, seed), sides(4, seed), slack * values[-1]
    run, left = neumann(lambda rows: rows @ A, b, scale, depth)
    assert not run.diverged
    assert run.steps == depth
    Q, rates = basis(seed), 1 - values / scale
    expected = (b.numpy() @ Q * ((1 - rates**depth) / values)) @ Q.T
    np.testing.assert_allclose(run.vectors.numpy(), expected, rtol=1e-8, atol=1e-10)
    torch.testing.assert_close(left, b - run.vectors @ A, rtol=0, atol=1e-9)
    rate = np.abs(rates).max()
    solution = np.linalg.solve(A.numpy(), b.numpy().T).T
    error = np.linalg.norm(run.vectors.numpy() - solution, axis=1)
    assert (error <= rate**depth * np.linalg.norm(solution, axis=1) + 1e-9).all()


@given(outlier=st.floats(-0.5, -1e-3) | st.floats(2.01, 4), seed=st.integers(0, 1000))
def test_divergence_is_seen_at_the_first_step_that_lets_a_residual_grow(
    outlier: float, seed: int
) -> None:
    """An eigenvalue below 0 or above twice the scale, here 1, grows by |1 - lambda| a step."""
    values = np.append(np.linspace(0.1, 1, SIZE - 1), outlier)
    A, b = matrix(values, seed), sides(3, seed)
    parts = b.numpy() @ basis(seed)

    def norms(step: int) -> np.ndarray:
        return np.linalg.norm(parts * np.abs(1 - values) ** step, axis=1)

    grows = (norms(step) > norms(step - 1) for step in count(1))
    first, growing = next((k, g) for k, g in enumerate(grows, start=1) if g.any())
    run, _ = neumann(lambda rows: rows @ A, b, 1.0, 20_000)
    assert run.steps == first
    assert run.growing.tolist() == growing.tolist()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("lowest", [0.0, 1e-3, 0.2])
def test_a_residual_at_rounding_or_at_rest_is_no_divergence(
    lowest: float, dtype: torch.dtype
) -> None:
    """With eigenvalue 0 the residual stays where it is, else it ends in rounding noise."""
    A = matrix(np.linspace(lowest, 1, SIZE), 0).to(dtype)
    run, _ = neumann(lambda rows: rows @ A, sides(5, 0).to(dtype), 1.0, 3000)
    assert not run.diverged


def test_the_mean_over_all_draws_is_the_series_of_the_mean() -> None:
    """All 3^4 sequences of three matrices, one of them indefinite, with equal probability."""
    matrices = [
        matrix(np.linspace(low, 1, SIZE), seed) for low, seed in ((0, 0), (0.2, 1), (-1, 2))
    ]
    b, scale, depth = sides(3, 0), 1.5, 4
    runs = [
        stochastic_neumann([lambda rows, A=A: rows @ A for A in drawn], b, scale).vectors
        for drawn in sequences(matrices, repeat=depth)
    ]
    mean = sum(matrices) / len(matrices)
    expected, _ = neumann(lambda rows: rows @ mean, b, scale, depth)
    torch.testing.assert_close(torch.stack(runs).mean(dim=0), expected.vectors)
    assert float(torch.stack(runs).std(dim=0).min()) > 1e-3


def test_one_matrix_drawn_again_and_again_is_the_series_itself() -> None:
    A, b = matrix(np.linspace(0.1, 1, SIZE), 0), sides(3, 0)
    run = stochastic_neumann([lambda rows: rows @ A] * 30, b, 1.2)
    expected, _ = neumann(lambda rows: rows @ A, b, 1.2, 30)
    torch.testing.assert_close(run.vectors, expected.vectors)
    assert run.steps == 30
    assert not run.diverged


@pytest.mark.parametrize("broken", [float("nan"), float("inf"), 1e3])
def test_stochastic_divergence_is_seen(broken: float) -> None:
    A, b = matrix(np.linspace(0.1, 1, SIZE), 0), sides(3, 0)
    matrices = [A] * 5 + [A * broken] * 5
    run = stochastic_neumann([lambda rows, A=A: rows @ A for A in matrices], b, 1.0)
    assert run.diverged
    assert 5 < run.steps <= 8


def test_right_hand_sides_of_zero_stay_zero() -> None:
    A, b = matrix(np.linspace(0.1, 1, SIZE), 0), torch.zeros(2, SIZE, dtype=torch.float64)
    run, left = neumann(lambda rows: rows @ A, b, 1.0, 5)
    drawn = stochastic_neumann([lambda rows: rows @ A] * 5, b, 1.0)
    for values in (run.vectors, left, drawn.vectors):
        assert not bool(values.any())
    assert not run.diverged
    assert not drawn.diverged
