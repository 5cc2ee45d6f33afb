"""Breast cancer of Wisconsin."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from fragility.datasets._scikit_learn import ScikitLearnDataset


class BreastCancer(ScikitLearnDataset):
    """569 breast masses, malignant or benign, 30 measurements of their cell nuclei.

    Features differ in size by a factor of ten thousand: standardize them.

    Valid when: always; it comes with scikit-learn.
    Cost: none worth mentioning.
    Reference: W. N. Street, W. H. Wolberg, O. L. Mangasarian, Proc. SPIE 1905 (1993) 861-870.
    """

    kind: Literal["breast_cancer"] = "breast_cancer"
    task: Literal["classification"] = "classification"
    """Class 0 is malignant, class 1 benign."""

    def bunch(self) -> Mapping[str, Any]:
        """Return scikit-learn's arrays and names."""
        from sklearn.datasets import load_breast_cancer

        bunch: Mapping[str, Any] = load_breast_cancer()
        return bunch
