"""The recursion of published LiSSA code: what it may add up, and when it stops.

With x_0 = b / scale it goes on as `numerics.neumann` does, x_{j+1} = x_j + (b - A_j x_j) / scale.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from fragility.numerics.block_cg import Rows


@dataclass(frozen=True)
class Series:
    """Last iterates (T, P), the sums of all but the first, and each row's number of steps (T,)."""

    last: Tensor
    total: Tensor
    steps: Tensor


@torch.no_grad()
def koh_liang_series(
    products: Iterable[Rows], rhs: Tensor, scale: float, tolerance: float | None
) -> Series:
    """Returns the iterates for the rows of `rhs` (T, P) after one step with each matrix.

    A row stops once a step changes the norm of scale x_j by less than `tolerance`: the norm, and
    not the vector, without regard to its size.

    Cost: one product with T vectors a matrix.
    """
    last, total = rhs / scale, torch.zeros_like(rhs)
    going = torch.ones(len(rhs), dtype=torch.bool, device=rhs.device)
    steps = torch.zeros(len(rhs), dtype=torch.int64, device=rhs.device)
    for product in products:
        after = last + (rhs - product(last)) / scale
        change = scale * (after.norm(dim=1) - last.norm(dim=1)).abs()
        last = torch.where(going.unsqueeze(1), after, last)
        total = total + going.unsqueeze(1) * last
        steps = steps + going
        if tolerance is not None:
            going = going & ~(change < tolerance)
            if not bool(going.any()):
                break
    return Series(last, total, steps)
