"""Random positions with the classes in proportion."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Positions = NDArray[np.int64]


def stratified(
    classes: NDArray[np.int64], count: int, generator: np.random.Generator, *, leave_one: bool
) -> Positions:
    """Return `count` sorted positions of `classes` (n,), each class in proportion to its size.

    Every class gets a place while there are enough; with `leave_one`, one member of each class is
    not drawn, which must leave `count` to draw from.
    """
    present, sizes = np.unique(classes, return_counts=True)
    shares = allocate(sizes, count, sizes - 1 if leave_one else sizes)
    drawn = [
        generator.permutation(np.flatnonzero(classes == label))[:share]
        for label, share in zip(present, shares, strict=True)
    ]
    return np.sort(np.concatenate(drawn)).astype(np.int64)


def allocate(sizes: Positions, count: int, most: Positions) -> Positions:
    """Return how many of `count` places each class gets, at most `most` (classes,) each.

    Proportional shares rounded by largest remainder, at least one place a class that may have one
    when `count` suffices. `count` must not exceed the sum of `most`.
    """
    least = np.minimum(most, 1) if count >= np.minimum(most, 1).sum() else np.zeros_like(most)
    quota = count * sizes / sizes.sum()
    shares: Positions = np.clip(np.floor(quota).astype(np.int64), least, most)
    while shares.sum() < count:
        shares[np.argmax(np.where(shares < most, quota - shares, -np.inf))] += 1
    while shares.sum() > count:
        shares[np.argmin(np.where(shares > least, quota - shares, np.inf))] -= 1
    return shares
