"""Influence functions with a randomized low-rank approximation of the curvature."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import torch
from pydantic import NonNegativeInt, PositiveInt, model_validator
from torch import Tensor

from fragility.errors import MethodFailure
from fragility.estimators._influence import Influence, Solution, relative_residuals
from fragility.estimators._spaces import refuse_large
from fragility.identity import derive_seed
from fragility.numerics.curvature import CurvatureMatrix
from fragility.numerics.lanczos import normal_vectors
from fragility.numerics.nystrom import Sketch, sketch, solve_dense, solve_with_diagonal

CHUNK = 128
"""Vectors of the sketch that are multiplied at once."""


class Nystrom(Influence):
    """Influence functions with a randomized Nystroem approximation of the curvature.

    The score is (1/n) grad f_t^T (C_r + D)^-1 grad l_i, where C_r = (C Omega) (Omega^T C Omega)^+
    (C Omega)^T approximates the curvature C of the loss from its products with `rank` random
    orthonormal vectors Omega, and the diagonal D holds what is known exactly, the damping and the
    penalty. Every direction outside of the span counts as flat: curvature D. The true relative
    residual of every test point is stored.

    C must have no negative eigenvalue. Where the sketch shows one, as it does for the Hessian of a
    deep network even at a minimum of the penalized objective, C with the penalty is sketched
    instead, and D holds the damping alone; where that is indefinite too there is no answer, under
    `keep` as under `error`. A sketch of low rank can miss negative eigenvalues. `clip` and
    `absolute` are refused, because eigenvalues of the core near 0, between negative and positive
    ones, would make the approximation unbounded.

    Valid when: the model is at a minimum and C is positive semidefinite: `gauss_newton`,
        `empirical_fisher`, or the Hessian of a linear model; and the eigenvalues beyond `rank` are
        small against D. D must be positive unless `rank` is that of all parameters, where the
        scores are those of `exact`.
    Cost: products of the curvature with `rank` vectors, all at once; 5 rank vectors of P numbers,
        3 GiB at most; some 20 rank^2 P operations.
    Reference: Frangella, Tropp and Udell 2023, section 2; Hataya and Yamada 2023 for influence.
    """

    kind: Literal["nystrom"] = "nystrom"
    rank: PositiveInt = 100
    """How many random vectors the curvature is seen through; as many as parameters, if fewer."""
    seed: NonNegativeInt = 0
    """Of the random vectors; a larger rank begins with those of a smaller one."""

    @model_validator(mode="after")
    def _keeps_the_matrix_as_it_is(self) -> Nystrom:
        if self.negative_curvature in ("clip", "absolute"):
            raise ValueError(
                f"`negative_curvature: {self.negative_curvature}` cannot be done by `nystrom`, "
                "which needs a curvature without negative eigenvalues; use `arnoldi` or "
                "`curvature: gauss_newton`, or `keep` or `error`"
            )
        return self

    def solve(self, matrix: CurvatureMatrix, damping: float, rhs: Tensor) -> Solution:
        """Returns the approximation's solutions, with their residuals in the curvature itself."""
        rank = min(self.rank, matrix.size)
        refuse_large(self.kind, "rank", 5 * rank, rhs)
        draw = normal_vectors(derive_seed(self.seed, "nystrom"), rhs[0])
        rows = torch.linalg.qr(torch.stack([draw() for _ in range(rank)]).T)[0].T
        found, diagonal = self._sketched(matrix, damping, rows)
        if float(diagonal.min()) > 0:
            vectors = solve_with_diagonal(found.factor, diagonal, rhs)
        elif rank == matrix.size:
            vectors = solve_dense(found.factor, diagonal, rhs)
        else:
            raise MethodFailure(
                f"the approximation of rank {rank:,} is singular for {matrix.size:,} parameters "
                "without damping.",
                "Give a `damping` above 0, or a `rank` of all parameters.",
            )
        values = found.eigenvalues
        return Solution(
            vectors,
            {
                "nystrom_rank": len(values),
                "nystrom_top_eigenvalue": float(values[0]) if len(values) else 0.0,
                "nystrom_bottom_eigenvalue": float(values[-1]) if len(values) else 0.0,
                "nystrom_smallest_diagonal": float(diagonal.min()),
            },
            {"relative_residual": relative_residuals(matrix, damping, rhs, vectors)},
        )

    def _sketched(
        self, matrix: CurvatureMatrix, damping: float, rows: Tensor
    ) -> tuple[Sketch, Tensor]:
        """Returns an approximation and the diagonal that is added to it."""
        loss = replace(matrix, includes_regularization=False)
        images = torch.cat([loss.product(part) for part in torch.split(rows, CHUNK)])
        if not bool(torch.isfinite(images).all()):
            raise MethodFailure(
                "the curvature is not finite: the trained model has diverged.",
                "Lower the learning rate, or add weight decay.",
            )
        found = sketch(rows, images)
        if found.semidefinite:
            return found, matrix.decay + damping
        found = sketch(rows, images + matrix.decay * rows)
        if found.semidefinite:
            return found, torch.full_like(matrix.decay, damping)
        raise MethodFailure(
            f"the curvature has an eigenvalue of {found.bottom:.2g} or less, and `nystrom` needs "
            "one without negative eigenvalues.",
            "Use `curvature: gauss_newton`, or train longer.",
        )
