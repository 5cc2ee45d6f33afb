"""Random projections that keep products of vectors, known by a seed and drawn piece by piece."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor

from fragility.identity import derive_seed

Distribution = Literal["rademacher", "normal"]

CHUNK = 256
"""Rows of the matrix that one generator draws."""

PART_BYTES = 128 * 2**20
"""Largest piece of the matrix that exists at a time, unless all of it is held."""

HELD_BYTES = 2**30
"""Largest matrix that is drawn once and held."""


@dataclass(frozen=True)
class Projection:
    """A random matrix R (size, dimensions) of independent entries with E[R R^T] = I.

    Products of projected vectors are then unbiased, E[(R^T u)^T (R^T v)] = u^T v, with a standard
    deviation of about |u| |v| / sqrt(dimensions). Every 256 rows have a generator of their own: the
    matrix depends on its fields alone, however much of it is in memory at a time.
    """

    size: int
    dimensions: int
    distribution: Distribution
    seed: int
    dtype: torch.dtype
    device: torch.device

    def forward(self, vectors: Tensor) -> Tensor:
        """Returns R^T v for each row of (m, size): (m, dimensions)."""
        total = vectors.new_zeros(len(vectors), self.dimensions)
        for rows, part in self._parts():
            total.addmm_(vectors[:, rows], part)
        return total

    def back(self, projected: Tensor) -> Tensor:
        """Returns R w for each row of (m, dimensions): (m, size)."""
        return torch.cat([projected @ part.T for _, part in self._parts()], dim=1)

    def _parts(self) -> Iterable[tuple[slice, Tensor]]:
        if self.size * self._row_bytes <= HELD_BYTES:
            return self._held
        return self._drawn()

    @property
    def _row_bytes(self) -> int:
        return self.dimensions * self.dtype.itemsize

    @cached_property
    def _held(self) -> list[tuple[slice, Tensor]]:
        return list(self._drawn())

    def _drawn(self) -> Iterator[tuple[slice, Tensor]]:
        rows = CHUNK * max(1, PART_BYTES // (CHUNK * self._row_bytes))
        for start in range(0, self.size, rows):
            stop = min(start + rows, self.size)
            chunks = [self._chunk(first) for first in range(start, stop, CHUNK)]
            yield slice(start, stop), torch.cat(chunks)

    def _chunk(self, first: int) -> Tensor:
        """Returns up to `CHUNK` rows from row `first` on, drawn on the CPU for every device."""
        generator = torch.Generator().manual_seed(derive_seed(self.seed, "projection", first))
        shape = (min(CHUNK, self.size - first), self.dimensions)
        if self.distribution == "normal":
            drawn = torch.randn(shape, generator=generator, dtype=torch.float64)
        else:
            bits = torch.randint(0, 2, shape, generator=generator, dtype=torch.int8)
            drawn = 2 * bits - 1
        return drawn.to(self.device, self.dtype).div_(self.dimensions**0.5)
