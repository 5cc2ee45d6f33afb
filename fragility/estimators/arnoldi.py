"""Influence functions in the span of the dominant eigenvectors of the curvature."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import NonNegativeInt, PositiveInt, model_validator
from torch import Tensor

from fragility.errors import MethodFailure
from fragility.estimators._influence import Influence, Solution, relative_residuals
from fragility.estimators._spaces import refuse_large
from fragility.identity import derive_seed
from fragility.numerics.curvature import CurvatureMatrix
from fragility.numerics.inverse import NegativeCurvature
from fragility.numerics.lanczos import (
    krylov_space,
    normal_vectors,
    ritz_pairs,
    ritz_values,
    rounding,
)


class Arnoldi(Influence):
    """Influence functions in the span of the curvature's eigenvectors of largest magnitude.

    The score is (1/n) (V grad f_t)^T (Lambda + damping I)^-1 (V grad l_i) with the `rank` Ritz
    pairs of largest magnitude, values Lambda and rows of V, in a Krylov space of the curvature
    whose basis is kept orthogonal. What gradients have outside of that span counts as nothing, not
    as flat: scores come out too small wherever low curvature matters. How much of each test
    gradient lies inside is stored as `gradient_share_inside`, a share of its squared norm, and the
    true residual beside it (unless `clip` or `absolute` changed a kept eigenvalue: the system
    solved is then another one). With `rank` of all parameters the scores are those of `exact`.
    `error` refuses when any Ritz value is negative, kept or not.

    Valid when: the model is at a minimum, and the dominant eigenvectors carry what matters of the
        gradients.
    Cost: `krylov` products of the curvature with one vector, one after another; krylov + rank
        vectors of P numbers, 3 GiB at most; krylov^2 P operations to keep them orthogonal.
    Reference: Schioppa et al. 2022; for symmetric matrices Arnoldi's iteration is that of Lanczos
        1950.
    """

    kind: Literal["arnoldi"] = "arnoldi"
    rank: PositiveInt = 100
    """How many eigenvectors are kept; all that there are, if fewer."""
    krylov: PositiveInt | None = None
    """Dimension of the Krylov space they are taken from, twice the rank unless given."""
    seed: NonNegativeInt = 0
    """Of the vector that the space begins with."""

    @model_validator(mode="after")
    def _the_space_holds_the_rank(self) -> Arnoldi:
        if self.krylov is not None and self.krylov < self.rank:
            raise ValueError("`krylov` must be at least `rank`")
        return self

    def solve(self, matrix: CurvatureMatrix, damping: float, rhs: Tensor) -> Solution:
        """Returns the solutions within the space, with their residuals outside."""
        dimension = min(self.krylov or 2 * self.rank, matrix.size)
        refuse_large(self.kind, "rank", dimension + min(self.rank, dimension), rhs)
        draw = normal_vectors(derive_seed(self.seed, "krylov"), rhs[0])
        space = krylov_space(matrix.product, dimension, draw)
        ends = ritz_values(space)[[0, -1]]
        pairs = ritz_pairs(space, self.rank)
        noise = rounding(float(ends.abs().max()), rhs)
        if self.negative_curvature == "error" and float(ends[0]) < -noise:
            raise MethodFailure(
                f"the curvature has an eigenvalue of {float(ends[0]):.2g} or less: the model is "
                "not at a minimum.",
                "Train longer, or use `curvature: gauss_newton` or another `negative_curvature`.",
            )
        values = bent(pairs.values, self.negative_curvature) + damping
        sizes = values.abs()
        if float(sizes.min()) <= torch.finfo(rhs.dtype).eps * float(sizes.max()):
            raise MethodFailure(
                f"one of the {len(values):,} kept eigenvalues of the damped curvature is 0 to "
                "rounding.",
                "Give a `damping` above 0, or a smaller `rank`.",
            )
        inside = rhs @ pairs.vectors.T
        vectors = (inside / values) @ pairs.vectors
        tiny = torch.finfo(rhs.dtype).tiny
        share = inside.square().sum(dim=1) / rhs.square().sum(dim=1).clamp(min=tiny)
        by_test_point = {"gradient_share_inside": share}
        if torch.equal(values, pairs.values + damping):
            by_test_point["relative_residual"] = relative_residuals(matrix, damping, rhs, vectors)
        return Solution(
            vectors,
            {
                "curvature_top_eigenvalue": float(ends[1]),
                "curvature_bottom_eigenvalue": float(ends[0]),
                "arnoldi_dimension": dimension,
                "arnoldi_rank": len(values),
                "arnoldi_smallest_kept": float(pairs.values[-1]),
                "arnoldi_negative_kept": int((pairs.values < -noise).sum()),
            },
            by_test_point,
        )


def bent(values: Tensor, policy: NegativeCurvature) -> Tensor:
    """Returns eigenvalues with the negative ones as the policy wants them."""
    if policy == "clip":
        return values.clamp(min=0)
    return values.abs() if policy == "absolute" else values
