"""Influence functions by a stochastic Neumann series."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import repeat
from typing import Literal

import torch
from pydantic import NonNegativeInt, PositiveFloat, PositiveInt, model_validator
from torch import Tensor

from fragility.errors import MethodFailure
from fragility.estimators._departures import Departures
from fragility.estimators._influence import Influence, Solution, relative_residuals
from fragility.identity import derive_seed
from fragility.numerics.block_cg import Rows
from fragility.numerics.curvature import CurvatureMatrix
from fragility.numerics.inverse import norm_ratios
from fragility.numerics.koh_liang_series import koh_liang_series
from fragility.numerics.lanczos import krylov_space, normal_vectors, ritz_values, rounding
from fragility.numerics.neumann import Neumann, neumann, stochastic_neumann

LANCZOS = 20
"""Dimension of the Krylov space in which the ends of the spectrum are sought."""

SAFETY = 1.1
"""What the largest eigenvalue found is multiplied by: Lanczos finds it from below."""

PROBES = 8
"""Batches whose largest eigenvalues are sought before the first step."""


@dataclass(frozen=True)
class Ends:
    """Ends of the curvature's spectrum as Lanczos found them, and the largest of some batches."""

    bottom: float
    top: float
    batches: float
    noise: float


class LiSSADepartures(Departures):
    """Departures of recursions."""

    right_side: Literal["gradient", "curvature_times_gradient"] = "gradient"
    """`curvature_times_gradient`: the recursion is given C grad f_t for grad f_t, and where it
    converges scores are products of gradients."""
    damping_times_scale: bool = False
    """Whether `damping` is multiplied by `scale`, as in (1 - damping) x - C x / scale."""
    result: Literal["last", "sum"] = "last"
    """`sum`: the iterates are added up, all but the first, where the last one is the solution."""
    norm_tolerance: PositiveFloat | None = None
    """A test point's recursion ends where a step changes the norm of scale x_j by less than this,
    whatever the norm: a short gradient ends it at once; null: after `depth` steps."""


class LiSSA(Influence):
    """Influence functions by a damped Neumann series, over all examples or over random batches.

    The inverse is approached by x_0 = 0, x_{j+1} = x_j + (grad f_t - (C_j + damping I) x_j) / scale
    for all test points at once, where C_j is the curvature of a batch drawn anew at every step, or
    of all examples; `repeats` such runs are averaged. The average over all draws is the series over
    all examples, and that ends at (C + damping I)^-1 grad f_t: `damping` is exact here. In the
    recursion of Koh and Liang's code, (1 - damping) x - C x / scale, it acts as damping x scale.
    What is left at the end, the true relative residual in the curvature of all examples, is stored
    for every test point. A recursion that diverges is reported as failed, with the step.

    A series over all examples has failed at the first step at which a residual grows, as it then
    does for ever. With batches there is noise: a run has failed when an iterate is 10 times as long
    as steps that shorten vectors on average can make it. Negative eigenvalues below -damping make
    the series diverge, however slowly; `error` refuses any that the search for the top eigenvalue
    meets. `clip` and `absolute` cannot be done.

    Valid when: the model is at a minimum, H + damping I is positive definite, and depth is several
        times scale over its smallest eigenvalue; with batches also each of theirs, about.
    Cost: depth x repeats products with all test points, each a pass over the batch (without batches
        depth products, each a pass over all examples); before them 20 products with one vector, and
        8 times 20 on batches where `scale` is to be found.
    Reference: Agarwal, Bullins and Hazan 2017; Koh and Liang 2017, section 3; Klochkov and Liu 2024
        for the scale.
    """

    kind: Literal["lissa"] = "lissa"
    depth: PositiveInt = 1000
    """Steps of the recursion."""
    scale: PositiveFloat | None = None
    """What steps are divided by: must exceed half the largest eigenvalue of the damped curvature.
    Unless given, 1.1 times the largest that Lanczos finds, for batches also in 8 of them."""
    repeats: PositiveInt = 1
    """Runs that are averaged; without batches all are the same, and one is made."""
    batch_size: PositiveInt | None = None
    """Examples whose curvature makes one step, drawn anew without replacement; all unless given."""
    seed: NonNegativeInt = 0
    """Of the batches, and of the vector that Lanczos begins with."""
    departures: LiSSADepartures = LiSSADepartures()
    """What published code does otherwise, for reproducing it; none unless named."""

    @model_validator(mode="after")
    def _keeps_the_matrix_as_it_is(self) -> LiSSA:
        if self.negative_curvature in ("clip", "absolute"):
            raise ValueError(
                f"`negative_curvature: {self.negative_curvature}` needs eigenvalues, which `lissa` "
                "does not compute; use `exact` or `arnoldi`, or `keep` or `error`"
            )
        if self.departures.damping_times_scale and self.scale is None:
            raise ValueError("`damping_times_scale` multiplies by a `scale` that must be given")
        return self

    def solve(self, matrix: CurvatureMatrix, damping: float, rhs: Tensor) -> Solution:
        """Returns the means of the runs' iterates, with their residuals."""
        size = min(self.batch_size or matrix.model.n, matrix.model.n)
        whole = size == matrix.model.n
        departures = self.departures
        if departures.damping_times_scale and self.scale is not None:
            damping = damping * self.scale
        gradients = rhs
        if departures.right_side == "curvature_times_gradient":
            rhs = matrix.product(rhs)
        ends = self._ends(matrix, rhs, size)
        if self.negative_curvature == "error" and ends.bottom < -ends.noise:
            raise MethodFailure(
                f"the curvature has an eigenvalue of {ends.bottom:.2g} or less: the model is not "
                "at a minimum.",
                "Train longer, or use `curvature: gauss_newton` or another `negative_curvature`.",
            )
        scale = self.scale or SAFETY * (max(ends.top, ends.batches) + damping)
        self._refuse_scale(scale, ends, damping)
        if departures.result == "sum" or departures.norm_tolerance is not None:
            return self._departed(matrix, damping, rhs, scale, size, gradients)
        if whole:
            run, left = neumann(_damped(matrix, damping), rhs, scale, self.depth)
            self._refuse_divergence(run, scale, ends, damping)
            vectors, residuals = run.vectors, norm_ratios(left, rhs)
        else:
            vectors = torch.zeros_like(rhs)
            for number in range(self.repeats):
                batches = self._batches(matrix, size, "batches", number)
                products = (_damped(next(batches), damping) for _ in range(self.depth))
                run = stochastic_neumann(products, rhs, scale)
                self._refuse_divergence(run, scale, ends, damping)
                vectors += run.vectors / self.repeats
            residuals = relative_residuals(matrix, damping, rhs, vectors)
        if departures.right_side != "gradient":
            residuals = relative_residuals(matrix, damping, gradients, vectors)
        return Solution(
            vectors,
            {
                "damping": damping * departures.curvature_factor,
                "curvature_top_eigenvalue": ends.top,
                "curvature_bottom_eigenvalue": ends.bottom,
                "lissa_scale": scale,
                "lissa_steps": self.depth * (1 if whole else self.repeats),
            },
            {"relative_residual": residuals},
        )

    def _departed(
        self,
        matrix: CurvatureMatrix,
        damping: float,
        rhs: Tensor,
        scale: float,
        size: int,
        gradients: Tensor,
    ) -> Solution:
        """Returns what the recursion of published code ends with, and its residuals as a solution.

        Raises:
            MethodFailure: the recursion diverged.
        """
        whole = size == matrix.model.n
        runs = 1 if whole else self.repeats
        vectors, steps = torch.zeros_like(rhs), 0
        for number in range(runs):
            batches = repeat(matrix) if whole else self._batches(matrix, size, "batches", number)
            products = (_damped(next(batches), damping) for _ in range(self.depth))
            run = koh_liang_series(products, rhs, scale, self.departures.norm_tolerance)
            found = run.total if self.departures.result == "sum" else run.last
            vectors += found / runs
            steps += int(run.steps.max())
        if not bool(torch.isfinite(vectors).all()):
            raise MethodFailure(
                f"the series diverged within {self.depth:,} steps at scale {scale:.3g}.",
                "Give a larger `scale`, a larger `damping`, or a larger `batch_size`.",
            )
        return Solution(
            vectors,
            {
                "damping": damping * self.departures.curvature_factor,
                "lissa_scale": scale,
                "lissa_steps": steps,
            },
            {"relative_residual": relative_residuals(matrix, damping, gradients, vectors)},
        )

    def _batches(
        self, matrix: CurvatureMatrix, size: int, purpose: str, *indices: int
    ) -> Iterator[CurvatureMatrix]:
        """Yields the curvature of random examples, without end; each draw is independent."""
        model = matrix.model
        generator = torch.Generator().manual_seed(derive_seed(self.seed, purpose, *indices))
        while True:
            rows = torch.randperm(model.n, generator=generator)[:size].to(model.inputs.device)
            part = replace(model, inputs=model.inputs[rows], targets=model.targets[rows])
            yield replace(matrix, model=part)

    def _ends(self, matrix: CurvatureMatrix, rhs: Tensor, size: int) -> Ends:
        """Returns the ends of the spectrum, without damping."""
        bottom, top = self._lanczos(matrix, rhs)
        batches = top
        if self.scale is None and size < matrix.model.n:
            probes = self._batches(matrix, size, "probes")
            batches = max(self._lanczos(next(probes), rhs)[1] for _ in range(PROBES))
        return Ends(bottom, top, batches, rounding(max(abs(bottom), abs(top)), rhs))

    def _lanczos(self, matrix: CurvatureMatrix, rhs: Tensor) -> tuple[float, float]:
        draw = normal_vectors(derive_seed(self.seed, "lanczos"), rhs[0])
        values = ritz_values(krylov_space(matrix.product, min(LANCZOS, matrix.size), draw))
        return float(values[0]), float(values[-1])

    def _refuse_scale(self, scale: float, ends: Ends, damping: float) -> None:
        top = ends.top + damping
        if scale <= 0:
            raise MethodFailure(
                "the damped curvature has no positive eigenvalue, and a Neumann series no scale.",
                "Give a `damping` above 0, or use `curvature: gauss_newton`.",
            )
        if scale <= top / 2:
            raise MethodFailure(
                f"the series diverges from its first step: scale {scale:.3g} is not above half of "
                f"{top:.3g}, the top eigenvalue of the damped curvature.",
                f"Give a `scale` of at least {top:.3g}, or `scale: null`.",
            )

    def _refuse_divergence(self, run: Neumann, scale: float, ends: Ends, damping: float) -> None:
        if not run.diverged:
            return
        top, bottom = ends.top + damping, ends.bottom + damping
        hint = "Give a larger `scale`, a larger `damping`, or a larger `batch_size`."
        if bottom < -ends.noise:
            hint = (
                f"Give a `damping` above {-ends.bottom:.2g}, fewer steps, or `curvature: "
                "gauss_newton`."
            )
        raise MethodFailure(
            f"the series diverged at step {run.steps:,} of {self.depth:,} for "
            f"{int(run.growing.sum()):,} of {len(run.growing):,} test points: scale {scale:.3g} "
            f"against {top:.3g}, the top eigenvalue of the damped curvature; the lowest found is "
            f"{bottom:.2g}.",
            hint,
        )


def _damped(matrix: CurvatureMatrix, damping: float) -> Rows:
    return lambda rows: matrix.product(rows) + damping * rows
