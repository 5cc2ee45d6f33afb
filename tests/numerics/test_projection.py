"""Random projections: their second moments, and that memory limits change nothing."""

from __future__ import annotations

import pytest
import torch
from scipy import stats

from fragility.numerics import projection as module
from fragility.numerics.projection import Distribution, Projection

KINDS: tuple[Distribution, ...] = ("rademacher", "normal")


def projection(
    size: int,
    dimensions: int,
    kind: Distribution,
    seed: int = 0,
    dtype: torch.dtype = torch.float64,
) -> Projection:
    return Projection(size, dimensions, kind, seed, dtype, torch.device("cpu"))


def matrix(of: Projection) -> torch.Tensor:
    """R itself, (size, dimensions)."""
    return of.back(torch.eye(of.dimensions, dtype=of.dtype)).T


def vectors(count: int, size: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(count, size, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("kind", KINDS)
def test_forward_and_back_are_one_matrix_and_its_transpose(kind: Distribution) -> None:
    made = projection(700, 30, kind)
    R, v = matrix(made), vectors(5, 700)
    torch.testing.assert_close(made.forward(v), v @ R)
    torch.testing.assert_close(made.back(v[:, :30]), v[:, :30] @ R.T)


@pytest.mark.parametrize("kind", KINDS)
def test_the_entries_are_what_is_said(kind: Distribution) -> None:
    entries = (matrix(projection(700, 30, kind)) * 30**0.5).flatten()
    if kind == "normal":
        assert stats.kstest(entries.numpy(), "norm").pvalue > 0.01
    else:
        torch.testing.assert_close(entries.abs(), torch.ones_like(entries))
        assert stats.binomtest(int((entries > 0).sum()), len(entries)).pvalue > 0.01


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dimensions", [8, 128])
def test_products_are_unbiased_with_the_known_variance(kind: Distribution, dimensions: int) -> None:
    """|u|^2 |v|^2 + (u^T v)^2, for signs less 2 sum u^2 v^2, all over the number of dimensions."""
    pair = vectors(2, 12)
    u, v = pair[0], pair[0] + pair[1]
    repeats = 2000
    found = torch.empty(repeats, dtype=torch.float64)
    for seed in range(repeats):
        pu, pv = projection(12, dimensions, kind, seed).forward(torch.stack([u, v]))
        found[seed] = pu @ pv
    less = 2 * (u.square() * v.square()).sum() if kind == "rademacher" else 0
    variance = float((u @ u) * (v @ v) + (u @ v) ** 2 - less) / dimensions
    assert float(found.mean()) == pytest.approx(float(u @ v), abs=3 * (variance / repeats) ** 0.5)
    assert float(found.var()) == pytest.approx(variance, rel=0.15)


@pytest.mark.parametrize("kind", KINDS)
def test_the_matrix_is_the_same_in_pieces(
    kind: Distribution, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = matrix(projection(700, 30, kind))
    monkeypatch.setattr(module, "HELD_BYTES", 0)
    assert torch.equal(matrix(projection(700, 30, kind)), held)
    monkeypatch.setattr(module, "PART_BYTES", 1)
    in_pieces = projection(700, 30, kind)
    assert torch.equal(matrix(in_pieces), held)
    v = vectors(5, 700)
    torch.testing.assert_close(in_pieces.forward(v), v @ held)
    assert "_held" not in vars(in_pieces)


@pytest.mark.parametrize("kind", KINDS)
def test_precision_changes_no_draw_and_seeds_do(kind: Distribution) -> None:
    whole = matrix(projection(700, 30, kind))
    torch.testing.assert_close(
        matrix(projection(700, 30, kind, dtype=torch.float32)).double(), whole, rtol=1e-6, atol=1e-7
    )
    other = matrix(projection(700, 30, kind, seed=1))
    assert abs(float(torch.corrcoef(torch.stack([whole.flatten(), other.flatten()]))[0, 1])) < 0.03
    # Rows of different generators are unrelated too.
    pair = torch.stack([whole[:256].flatten(), whole[256:512].flatten()])
    assert abs(float(torch.corrcoef(pair)[0, 1])) < 0.05
