"""Weight of the inverted pairs of a sequence, for many weightings of its rows at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fragility.metrics._ranks import Positions, running_sum
from fragility.metrics.base import Array

BLOCK = 64
"""Rows compared with each other directly; up to here products of small matrices beat merging."""

BLOCKS_AT_ONCE = 256


@dataclass(frozen=True)
class Merge:
    """One level of a merge sort: which right rows are smaller than each left row beside them.

    `right` holds the rows of right halves in merged order; `first` to `last` of them belong to the
    same block as the row of `left` and are smaller.
    """

    left: Positions
    right: Positions
    first: Positions
    last: Positions


def inversions(ranks: Positions) -> Callable[[Array], Array]:
    """Return the weight of strictly inverted pairs as a function of `columns` (n, draws).

    A pair is inverted when the earlier row has the higher of the integer `ranks` (n,). Counts are
    exact. Cost: n log2(n) additions a draw; memory n log2(n) integers. Source: counting by merging,
    W. R. Knight, J. Amer. Statist. Assoc. 61 (1966) 436-439, with weights in place of counts.
    """
    inverted = _inverted(ranks)
    levels = _merges(ranks)

    def weight(columns: Array) -> Array:
        return _in_blocks(inverted, columns) + sum(
            (_in_merge(level, columns) for level in levels), np.zeros(columns.shape[1])
        )

    return weight


def _inverted(ranks: Positions) -> NDArray[np.bool_]:
    """Return (blocks, BLOCK, BLOCK): row i of a block stands before row j and ranks higher."""
    blocks = -(-len(ranks) // BLOCK)
    flat = np.full(blocks * BLOCK, ranks.max(), dtype=ranks.dtype)
    flat[: len(ranks)] = ranks
    padded = flat.reshape(blocks, BLOCK)
    before = np.triu(np.ones((BLOCK, BLOCK), dtype=bool), k=1)
    return (padded[:, :, None] > padded[:, None, :]) & before


def _merges(ranks: Positions) -> list[Merge]:
    """Return the levels in which blocks are merged two by two until one is left.

    Summed over the levels, every two rows of different blocks meet once: the later one in a right
    half, the earlier one in the left half beside it.
    """
    order: Positions = np.arange(len(ranks))
    span = int(ranks.max()) + 1
    levels = []
    half = BLOCK
    while half < len(ranks):
        order = order[np.argsort(order // (2 * half) * span + ranks[order], kind="stable")]
        in_right = order // half % 2 == 1
        left, right = order[~in_right], order[in_right]
        levels.append(
            Merge(
                left=left.astype(np.int32),
                right=right.astype(np.int32),
                first=np.searchsorted(right // (2 * half), left // (2 * half)).astype(np.int32),
                last=np.cumsum(in_right)[~in_right].astype(np.int32),
            )
        )
        half *= 2
    return levels


def _in_blocks(inverted: NDArray[np.bool_], columns: Array) -> Array:
    draws = columns.shape[1]
    found = np.zeros(draws)
    for start in range(0, len(inverted), BLOCKS_AT_ONCE):
        some = inverted[start : start + BLOCKS_AT_ONCE].astype(np.float64)
        rows = columns[start * BLOCK : (start + len(some)) * BLOCK]
        if len(rows) < len(some) * BLOCK:
            rows = np.concatenate([rows, np.zeros((len(some) * BLOCK - len(rows), draws))])
        rows = rows.reshape(len(some), BLOCK, draws)
        found += np.einsum("bnd,bnd->d", rows, some @ rows)
    return found


def _in_merge(level: Merge, columns: Array) -> Array:
    below = np.zeros((len(level.right) + 1, columns.shape[1]))
    below[1:] = columns.take(level.right, axis=0)
    running_sum(below[1:])
    smaller = below.take(level.last, axis=0)
    smaller -= below.take(level.first, axis=0)
    found: Array = np.einsum("nd,nd->d", columns.take(level.left, axis=0), smaller)
    return found
