"""The mean of a full table with random rows and columns, and how well its mean squares know it."""

from __future__ import annotations

import numpy as np

from fragility.statistics.estimate import Array


def crossed_mean(table: Array) -> tuple[float, float, float]:
    """Returns the mean of a `table` (rows, columns), its standard error and degrees of freedom.

    What `mixed_model` finds for an intercept with random rows and columns, in closed form: REML of
    a full table. A mean square below that of the rest is pooled with it, the smallest first, which
    is REML with the variance held at 0. Degrees of freedom are Satterthwaite's. The error is 0
    where the table is constant.

    Source: W. A. Thompson, Ann. Math. Stat. 33 (1962) 273-289; F. E. Satterthwaite, Biom. Bull. 2
    (1946) 110-114.
    """
    rows, columns = table.shape
    mean = table.mean()
    by_row, by_column = table.mean(axis=1), table.mean(axis=0)
    rest = table - by_row[:, None] - by_column + mean
    sums = {
        "rows": (columns * float(np.sum((by_row - mean) ** 2)), rows - 1),
        "columns": (rows * float(np.sum((by_column - mean) ** 2)), columns - 1),
    }
    total, freedom = float(np.sum(rest**2)), (rows - 1) * (columns - 1)
    for _, (square, count) in sorted(sums.items(), key=lambda item: item[1][0] / item[1][1]):
        if square * freedom <= total * count:
            total, freedom = total + square, freedom + count
    kept = [(s / n, n) for s, n in sums.values() if s * freedom > total * n]
    if not kept:
        return float(mean), float(np.sqrt(total / freedom / table.size)), float(freedom)
    squares = [*kept, *[(total / freedom, freedom)] * (len(kept) - 1)]
    signs = [1.0, 1.0, -1.0][: len(squares)]
    variance = sum(sign * square for sign, (square, _) in zip(signs, squares, strict=True))
    spread = sum(square**2 / n for square, n in squares)
    return float(mean), float(np.sqrt(variance / table.size)), float(variance**2 / spread)
