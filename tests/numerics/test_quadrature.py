"""Quadratures and Newton's step, against matrices whose eigenvalues are chosen."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fragility.errors import MethodFailure
from fragility.numerics.decrement import dense_step, krylov_step
from fragility.numerics.quadrature import complete_quadrature, lanczos_quadrature, random_signs

VALUES = torch.tensor([-0.3, 1e-3, 0.2, 0.5, 1.0, 4.0], dtype=torch.float64)
POSITIVE = VALUES.abs()


def with_eigenvalues(values: torch.Tensor) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    size = len(values)
    square = torch.randn(size, size, generator=generator, dtype=torch.float64)
    basis, _ = torch.linalg.qr(square)
    return basis @ torch.diag(values) @ basis.T


def test_all_steps_of_one_probe_see_its_own_measure() -> None:
    """z^T f(A) z for every f, so that each probe is exact where Lanczos goes to the end."""
    matrix = with_eigenvalues(VALUES)
    found = lanczos_quadrature(lambda v: v @ matrix, 6, 3, 6, random_signs(5, VALUES))
    draw = random_signs(5, VALUES)
    for nodes, weights in zip(found.nodes, found.weights, strict=True):
        probe = draw()
        assert set(probe.tolist()) <= {-1.0, 1.0}
        inverse = float(probe @ torch.linalg.solve(matrix, probe))
        assert (weights / nodes).sum() == pytest.approx(inverse, rel=1e-8)


def test_of_a_diagonal_matrix_every_probe_has_the_trace() -> None:
    matrix = torch.diag(POSITIVE)
    found = lanczos_quadrature(lambda v: v @ matrix, 6, 4, 6, random_signs(1, VALUES))
    value, error = found.trace(np.sqrt)
    assert value == pytest.approx(float(POSITIVE.sqrt().sum()))
    assert error == pytest.approx(0, abs=1e-12)
    nodes, weights = found.flat()
    assert (np.diff(nodes) >= 0).all()
    assert weights.sum() == pytest.approx(6)


def test_all_eigenvalues_have_no_error_and_one_probe_knows_none() -> None:
    assert complete_quadrature(POSITIVE.numpy()).trace(np.sqrt)[1] == 0
    matrix = torch.diag(VALUES)
    one = lanczos_quadrature(lambda v: v @ matrix, 6, 1, 3, random_signs(1, VALUES))
    assert one.trace(np.square)[1] is None


def test_a_step_leaves_flat_directions_out_and_tells_what_they_hold() -> None:
    matrix = torch.diag(torch.tensor([0.0, 2.0, 4.0], dtype=torch.float64))
    gradient = torch.tensor([3.0, 2.0, 4.0], dtype=torch.float64)
    step = dense_step(matrix, gradient, matrix.diagonal(), 1e-12)
    assert (step.square, step.norm, step.outside) == pytest.approx((6.0, 2**0.5, 3.0))
    assert not step.negative


@pytest.mark.parametrize("values", [VALUES, POSITIVE])
def test_both_ways_to_a_step_agree(values: torch.Tensor) -> None:
    matrix = with_eigenvalues(values)
    ordered = values.sort().values
    gradient = torch.linspace(-1, 1, 6, dtype=torch.float64)
    expected = torch.linalg.solve(matrix, gradient)
    steps = (
        dense_step(matrix, gradient, ordered, 1e-12),
        krylov_step(lambda v: v @ matrix, gradient, 6),
    )
    for step in steps:
        assert step.square == pytest.approx(float(gradient @ expected), rel=1e-8)
        assert step.norm == pytest.approx(float(expected.norm()), rel=1e-8)
        assert step.lowest == pytest.approx(float(ordered[0]), abs=1e-9)
        assert step.negative == (float(ordered[0]) < 0)
        assert step.residual < 1e-9


def test_no_gradient_is_no_step() -> None:
    matrix = torch.diag(POSITIVE)
    step = krylov_step(lambda v: v @ matrix, torch.zeros(6, dtype=torch.float64), 3)
    assert (step.square, step.norm, step.residual) == (0, 0, 0)


def test_a_matrix_that_is_not_finite_is_refused() -> None:
    with pytest.raises(MethodFailure, match="not finite"):
        lanczos_quadrature(lambda v: v * torch.nan, 6, 1, 3, random_signs(0, VALUES))
