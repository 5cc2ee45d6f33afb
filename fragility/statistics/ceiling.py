"""The noise ceiling: the correlation with measured effects that a perfect estimator would reach."""

from __future__ import annotations

from typing import Literal

import numpy as np

from fragility.statistics.estimate import Array

Ceiling = Literal["pearson", "spearman", "kendall"]


def ceiling(reliability: float, kind: Ceiling) -> float:
    """Returns the expected correlation of true effects with means of this `reliability` (0 to 1).

    Pearson: its square root, whatever the law of the effects. Spearman (6/pi asin(r/2)) and Kendall
    (2/pi asin(r)): those of normal variables with that Pearson correlation. Where few effects are
    large and many are near zero, Spearman's and Kendall's ceilings are lower than this says, unless
    the reliability is that of ranks (`split_half` with `kind` spearman).

    Source: C. Spearman, Am. J. Psychol. 15 (1904) 72-101; for ranks W. H. Kruskal, J. Am. Stat.
    Assoc. 53 (1958) 814-861.
    """
    return float(ceilings(np.asarray(reliability), kind))


def ceilings(reliabilities: Array, kind: Ceiling) -> Array:
    """Returns the ceiling of each of many reliabilities."""
    pearson = np.sqrt(reliabilities)
    if kind == "spearman":
        return np.asarray(6 / np.pi * np.arcsin(pearson / 2))
    if kind == "kendall":
        return np.asarray(2 / np.pi * np.arcsin(pearson))
    return np.asarray(pearson)
