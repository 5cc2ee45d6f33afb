"""Inverses of Hessians, exact while they fit and approximate above."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from fragility.numerics.convex import base
from fragility.numerics.convex.base import Preconditioner

Entries = Sequence[Sequence[Tensor | None]]
"""The lower triangle of each example's Hessian in the outputs: entry [a][b] (n,) or None for 0."""

_BLOCK_ROWS = 8192


class Factor(Preconditioner):
    """The Cholesky factor of a Hessian.

    A Hessian may be singular: without a penalty a shift common to all classes changes nothing. A
    ridge, tiny against its diagonal, makes it definite; the objective is none the wiser.
    """

    close = True

    def __init__(self, hessian: Tensor) -> None:
        info = torch.finfo(hessian.dtype)
        diagonal = hessian.diagonal()
        largest = max(float(diagonal.max()), info.tiny)
        ridge = max(info.eps**0.75 * largest, info.tiny)
        while True:
            diagonal += ridge
            self._lower, failed = torch.linalg.cholesky_ex(hessian)
            if int(failed) == 0 or not ridge < largest:
                return
            ridge *= 100

    def solve(self, rhs: Tensor) -> Tensor:
        """Returns the solutions, by forward and backward substitution."""
        solved: Tensor = torch.cholesky_solve(rhs.T, self._lower).T
        return solved.contiguous()


class Leading(Preconditioner):
    """The Hessian of an affine model, factored in the leading directions of its features.

    Beyond them it is the Kronecker product of the mean curvature in the outputs with the features'
    second moments, and the mean penalty. The eigenvalues of features fall fast, so what is left
    approximate is small against the penalty.
    """

    close = True

    def __init__(
        self, features: Tensor, weights: Tensor, decay: Tensor, entries: Entries, count: int
    ) -> None:
        self.c, self.count = len(entries), count
        diagonal = [_required(row[-1]) for row in entries]
        trace = weights * torch.stack(diagonal).sum(dim=0)
        values, vectors = torch.linalg.eigh(_moments(features, features, trace))
        self.basis = vectors.flip(1)
        tail = values.flip(0)[count:].clamp(min=0)
        leading = self.basis[:, :count].contiguous()
        hessian = affine_hessian(features @ leading, weights, entries)
        penalties = decay.view(self.c, -1)
        for a, penalty in enumerate(penalties):
            block = slice(a * count, (a + 1) * count)
            hessian[block, block] += leading.T @ (penalty.unsqueeze(1) * leading)
        self.factor = Factor(hessian)
        outputs = _mean_curvature(weights, entries)
        bend, self.mix = torch.linalg.eigh(outputs / outputs.trace())
        floor = torch.finfo(decay.dtype).eps ** 0.75 * float(values[-1])
        self.scale = bend.clamp(min=0).unsqueeze(1) * tail + decay.mean() + floor

    def solve(self, rhs: Tensor) -> Tensor:
        """Returns the approximate solutions: into the directions, by their parts, and back."""
        models, c, count = len(rhs), self.c, self.count
        rotated = (rhs.reshape(models * c, -1) @ self.basis).view(models, c, -1)
        head = self.factor.solve(rotated[..., :count].reshape(models, -1))
        tail = self.mix @ ((self.mix.T @ rotated[..., count:]) / self.scale)
        solved = torch.cat([head.view(models, c, count), tail], dim=2)
        back: Tensor = solved.view(models * c, -1) @ self.basis.T
        return back.view(models, -1)


class Diagonal(Preconditioner):
    """The diagonal of the Hessian of an affine model, where features are too many for more."""

    close = False

    def __init__(self, features: Tensor, weights: Tensor, decay: Tensor, entries: Entries) -> None:
        squares = features.square()
        diagonal = [(weights * _required(row[-1])) @ squares for row in entries]
        self.diagonal = torch.cat(diagonal) + decay
        floor = torch.finfo(decay.dtype).eps ** 0.75 * float(self.diagonal.max())
        self.diagonal += max(floor, torch.finfo(decay.dtype).tiny)

    def solve(self, rhs: Tensor) -> Tensor:
        """Returns the quotients."""
        return rhs / self.diagonal


class Identity(Preconditioner):
    """No approximation at all."""

    close = False

    def solve(self, rhs: Tensor) -> Tensor:
        """Returns a copy."""
        return rhs.clone()


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
        return Factor(affine_hessian(features, weights, entries) + torch.diag(decay))
    if width > base.MOMENTS_LIMIT:
        return Diagonal(features, weights, decay, entries)
    return Leading(features, weights, decay, entries, min(width, _leading(c)))


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
