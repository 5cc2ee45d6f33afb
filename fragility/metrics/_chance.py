"""What unrelated lists give: averages over random pairings, the same for all lists of a length."""

from __future__ import annotations

import numpy as np

from fragility.identity import derive_seed
from fragility.metrics.base import Array

PAIRINGS = 100_000
"""Correlations averaged over: their mean size is then right to 0.5 %."""

SHUFFLED = 20_000
"""Values of shuffled lists."""

FEWEST = 8
"""Random orders of a list, however long it is."""


def shuffled(values: Array, least: int = SHUFFLED, purpose: str = "chance") -> Array:
    """Return `values` (n,) in random orders (orders, n), at least `least` values and 8 orders."""
    n = len(values)
    orders = max(FEWEST, -(-least // n))
    rng = np.random.default_rng(derive_seed(0, purpose, n))
    return rng.permuted(np.broadcast_to(values, (orders, n)), axis=1)


def mean_size(x: Array, y: Array) -> float:
    """Return the mean absolute correlation of `x` (n,) with `y` (n,) over random pairings.

    The shifts of a random order around the circle are pairings too, and one Fourier transform gives
    the correlations of all of them. Neither list may be constant. Cost: 5 ms up to 5,000 pairs.
    """
    x, y = _unit(np.sort(x)), _unit(np.sort(y))
    # In order, neighbouring shifts of a list would be nearly the same pairing.
    x = shuffled(x, 1, "chance scores")[0]
    orders = shuffled(y, PAIRINGS)
    transformed = np.fft.rfft(orders, axis=1) * np.conj(np.fft.rfft(x))
    return float(np.abs(np.fft.irfft(transformed, n=len(x), axis=1)).mean())


def _unit(values: Array) -> Array:
    """Return `values` centred, with a sum of squares of 1."""
    reduced = np.ldexp(values, -int(np.frexp(np.abs(values).max())[1]))
    centred = reduced - reduced.mean()
    unit: Array = centred / np.linalg.norm(centred)
    return unit
