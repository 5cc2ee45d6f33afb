"""Wines of three cultivars."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from fragility.datasets._scikit_learn import ScikitLearnDataset


class Wine(ScikitLearnDataset):
    """178 wines of three cultivars, 13 chemical measurements.

    Features differ in size by a factor of a thousand: standardize them.

    Valid when: always; it comes with scikit-learn.
    Cost: none worth mentioning.
    Reference: S. Aeberhard, D. Coomans, O. de Vel, Pattern Recognition 27 (1994) 1065-1077.
    """

    kind: Literal["wine"] = "wine"
    task: Literal["classification"] = "classification"
    """The three cultivars."""

    def bunch(self) -> Mapping[str, Any]:
        """Return scikit-learn's arrays and names."""
        from sklearn.datasets import load_wine

        bunch: Mapping[str, Any] = load_wine()
        return bunch
