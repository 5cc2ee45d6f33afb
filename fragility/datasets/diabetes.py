"""Progression of diabetes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from fragility.datasets._scikit_learn import ScikitLearnDataset


class Diabetes(ScikitLearnDataset):
    """442 diabetes patients, ten measurements, and the disease's progression a year later.

    Regression. Features are scikit-learn's: centred and scaled over all rows to a sum of squares
    of 1, much smaller than variance 1; targets run from 25 to 346.

    Valid when: always; it comes with scikit-learn.
    Cost: none worth mentioning.
    Reference: B. Efron and others, Annals of Statistics 32 (2004) 407-499.
    """

    kind: Literal["diabetes"] = "diabetes"
    task: Literal["regression"] = "regression"
    """The progression, a number."""

    def bunch(self) -> Mapping[str, Any]:
        """Return scikit-learn's arrays and names."""
        from sklearn.datasets import load_diabetes

        bunch: Mapping[str, Any] = load_diabetes()
        return bunch
