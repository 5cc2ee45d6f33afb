"""Inverses of Hessians, exact while they fit and approximate above."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from fragility.numerics.convex import base
from fragility.numerics.convex.base import Preconditioner

Entries = Sequence[Sequence[Tensor | None]]
"""The lower triangle of each example's Hessian in the outputs: entry [a][b] (n,) or None for 0."""

_BLOCK_ROWS = 8192


@dataclass(frozen=True)
class Factor(Preconditioner):
    """The Cholesky factor (P, P) of a Hessian."""

    lower: Tensor
    close = True

    def solve(self, rhs: Tensor) -> Tensor:
        """Returns the solutions, by forward and backward substitution."""
        return _substituted(self.lower, rhs)

    def state(self) -> dict[str, Tensor]:
        """Returns the factor."""
        return vars(self)


def factored(hessian: Tensor) -> Factor:
    """Returns the factor of a Hessian, which is overwritten.

    A Hessian may be singular: without a penalty a shift common to all classes changes nothing. A
    ridge, tiny against its diagonal, makes it definite; the objective is none the wiser.
    """
    info = torch.finfo(hessian.dtype)
    diagonal = hessian.diagonal()
    largest = max(float(diagonal.max()), info.tiny)
    ridge = max(info.eps**0.75 * largest, info.tiny)
    while True:
        diagonal += ridge
        lower, failed = torch.linalg.cholesky_ex(hessian)
        if int(failed) == 0 or not ridge < largest:
            return Factor(lower)
        ridge *= 100


def _substituted(lower: Tensor, rhs: Tensor) -> Tensor:
    solved: Tensor = torch.cholesky_solve(rhs.T, lower).T
    return solved.contiguous()


@dataclass(frozen=True)
class Leading(Preconditioner):
    """The Hessian of an affine model, factored in the leading directions of its features.

    Beyond them it is the Kronecker product of the mean curvature in the outputs with the features'
    second moments, and the mean penalty. The eigenvalues of features fall fast, so what is left
    approximate is small against the penalty.

    `directions` (D, D) of the features and `mixes` (c, c) of the outputs, one a row; `lower`, the
    factor in the leading directions; `scale` (c, rest), the eigenvalues beyond.
    """

    directions: Tensor
    mixes: Tensor
    lower: Tensor
    scale: Tensor
    close = True

    def solve(self, rhs: Tensor) -> Tensor:
        """Returns the approximate solutions: into the directions, by their parts, and back."""
        models, c = len(rhs), len(self.mixes)
        count, mix = len(self.lower) // c, self.mixes.T
        rotated = (rhs.reshape(models * c, -1) @ self.directions.T).view(models, c, -1)
        head = _substituted(self.lower, rotated[..., :count].reshape(models, -1))
        tail = mix @ ((self.mixes @ rotated[..., count:]) / self.scale)
        solved = torch.cat([head.view(models, c, count), tail], dim=2)
        back: Tensor = solved.view(models * c, -1) @ self.directions
        return back.view(models, -1)

    def state(self) -> dict[str, Tensor]:
        """Returns directions, factor and eigenvalues."""
        return vars(self)


def leading(
    features: Tensor, weights: Tensor, decay: Tensor, entries: Entries, count: int
) -> Leading:
    """Returns the Hessian factored in `count` directions of the features (n, D)."""
    c = len(entries)
    diagonal = [_required(row[-1]) for row in entries]
    trace = weights * torch.stack(diagonal).sum(dim=0)
    values, vectors = torch.linalg.eigh(_moments(features, features, trace))
    basis = vectors.flip(1)
    tail = values.flip(0)[count:].clamp(min=0)
    first = basis[:, :count].contiguous()
    hessian = affine_hessian(features @ first, weights, entries)
    for a, penalty in enumerate(decay.view(c, -1)):
        block = slice(a * count, (a + 1) * count)
        hessian[block, block] += first.T @ (penalty.unsqueeze(1) * first)
    outputs = _mean_curvature(weights, entries)
    bend, mix = torch.linalg.eigh(outputs / outputs.trace())
    floor = torch.finfo(decay.dtype).eps ** 0.75 * float(values[-1])
    return Leading(
        directions=basis.T.contiguous(),
        mixes=mix.T.contiguous(),
        lower=factored(hessian).lower,
        scale=bend.clamp(min=0).unsqueeze(1) * tail + decay.mean() + floor,
    )


@dataclass(frozen=True)
class Diagonal(Preconditioner):
    """The diagonal (c D,) of the Hessian of an affine model with too many features for more."""

    diagonal: Tensor
    close = False

    def solve(self, rhs: Tensor) -> Tensor:
        """Returns the quotients."""
        return rhs / self.diagonal

    def state(self) -> dict[str, Tensor]:
        """Returns the diagonal."""
        return vars(self)


def diagonal_of(features: Tensor, weights: Tensor, decay: Tensor, entries: Entries) -> Diagonal:
    """Returns the diagonal of the Hessian of an affine model of features (n, D)."""
    squares = features.square()
    parts = [(weights * _required(row[-1])) @ squares for row in entries]
    diagonal = torch.cat(parts) + decay
    floor = torch.finfo(decay.dtype).eps ** 0.75 * float(diagonal.max())
    return Diagonal(diagonal + max(floor, torch.finfo(decay.dtype).tiny))


class Identity(Preconditioner):
    """No approximation at all."""

    close = False

    def solve(self, rhs: Tensor) -> Tensor:
        """Returns a copy."""
        return rhs.clone()

    def state(self) -> dict[str, Tensor]:
        """Returns nothing."""
        return {}


def restored(state: Mapping[str, Tensor]) -> Preconditioner | None:
    """Returns what a state is of; None for an empty one, as what it is of is made anew for free."""
    kinds = (Factor, Leading, Diagonal)
    made = [kind(**state) for kind in kinds if {f.name for f in fields(kind)} == state.keys()]
    return made[0] if made else None


def precondition_affine(
    features: Tensor, weights: Tensor, decay: Tensor, entries: Entries
) -> Preconditioner:
    """Returns the inverse Hessian of one affine model, or what the limits of size allow of it.

    Args:
        features: shape (n, D).
        weights: of the examples, (n,).
        decay: of the coordinates, (c D,).
        entries: each example's Hessian in the outputs.
    """
    c, width = len(entries), features.shape[1]
    if c * width <= base.FACTOR_LIMIT:
        return factored(affine_hessian(features, weights, entries) + torch.diag(decay))
    if width > base.MOMENTS_LIMIT:
        return diagonal_of(features, weights, decay, entries)
    return leading(features, weights, decay, entries, min(width, _leading(c)))


def factor_price(c: int, width: int) -> float:
    """Returns what making a preconditioner costs, in products of one model with its Hessian."""
    if c * width <= base.FACTOR_LIMIT:
        return c * width / 4
    if width > base.MOMENTS_LIMIT:
        return 1
    return width / (2 * c) + c * _leading(c) ** 2 / (4 * width)


def _leading(c: int) -> int:
    """Returns how many directions of the features are factored, of `LEADING` coordinates."""
    return max(1, base.LEADING // c)


def affine_hessian(features: Tensor, weights: Tensor, entries: Entries) -> Tensor:
    """Returns the Hessian (c D, c D), without penalty, of one model; c (c + 1) / 2 products."""
    c, width = len(entries), features.shape[1]
    hessian = features.new_zeros(c, width, c, width)
    for a, row in enumerate(entries):
        for b, entry in enumerate(row):
            if entry is not None:
                block = _moments(features, features, weights * entry)
                hessian[a, :, b] = block
                hessian[b, :, a] = block
    return hessian.view(c * width, c * width)


def _moments(left: Tensor, right: Tensor, weights: Tensor) -> Tensor:
    """Returns left^T diag(weights) right."""
    total = left.new_zeros(left.shape[1], right.shape[1])
    blocks = (torch.split(part, _BLOCK_ROWS) for part in (left, right, weights))
    for one, other, weight in zip(*blocks, strict=True):
        total.addmm_((one * weight.unsqueeze(1)).T, other)
    return total


def _mean_curvature(weights: Tensor, entries: Entries) -> Tensor:
    c = len(entries)
    mean = weights.new_zeros(c, c)
    for a, row in enumerate(entries):
        for b, entry in enumerate(row):
            if entry is not None:
                mean[a, b] = mean[b, a] = (weights * entry).sum()
    return mean


def _required(entry: Tensor | None) -> Tensor:
    assert entry is not None
    return entry
