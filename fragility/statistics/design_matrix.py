"""Fixed factors as columns of a linear model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fragility.statistics.estimate import Array

Factor = Sequence[str] | Array
"""Labels are a factor with levels, numbers a covariate with a slope."""


@dataclass(frozen=True)
class Design:
    """Columns (rows, p) with their names; `factors` gives the columns of each factor."""

    columns: Array
    names: tuple[str, ...]
    factors: Mapping[str, tuple[int, ...]]


def design(fixed: Mapping[str, Factor], rows: int) -> Design:
    """Returns an intercept, and for each factor one column a level after the first that occurs.

    The intercept is the mean where every factor is at its first level and every covariate at 0; a
    column's coefficient is the difference that its level makes, or the slope of its covariate.
    """
    columns, names, factors = [np.ones(rows)], ["intercept"], {}
    for name, values in fixed.items():
        start = len(columns)
        if isinstance(values, np.ndarray):
            columns.append(values.astype(np.float64))
            names.append(name)
        else:
            labels = np.asarray(values, dtype=object)
            for level in list(dict.fromkeys(values))[1:]:
                columns.append((labels == level).astype(np.float64))
                names.append(f"{name}: {level}")
        factors[name] = tuple(range(start, len(columns)))
    return Design(np.column_stack(columns), tuple(names), factors)


def confounded(design: Design) -> str | None:
    """Returns which factor brings a column that those before it already hold, or None."""
    known = 1
    for name, places in design.factors.items():
        if not places:
            return f"{name} has a single level"
        last = places[-1] + 1
        rank = int(np.linalg.matrix_rank(_scaled(design.columns[:, :last])))
        if rank < known + len(places):
            return f"the effect of {name} cannot be told from those of the factors before it"
        known = rank
    return None


def _scaled(columns: Array) -> Array:
    size = np.abs(columns).max(axis=0)
    return np.asarray(columns / np.where(size > 0, size, 1.0))
