"""Fisher's iris flowers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from fragility.datasets._scikit_learn import ScikitLearnDataset


class Iris(ScikitLearnDataset):
    """150 iris flowers of three species, four lengths in cm.

    The dataset of the paper's depth and width studies, which hold out row 83.

    Valid when: always; it comes with scikit-learn.
    Cost: none worth mentioning.
    Reference: R. A. Fisher, Annals of Eugenics 7 (1936) 179-188.
    """

    kind: Literal["iris"] = "iris"
    task: Literal["classification"] = "classification"
    """The three species."""

    def bunch(self) -> Mapping[str, Any]:
        """Return scikit-learn's arrays and names."""
        from sklearn.datasets import load_iris

        bunch: Mapping[str, Any] = load_iris()
        return bunch
