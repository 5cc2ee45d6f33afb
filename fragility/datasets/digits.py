"""Handwritten digits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from fragility.datasets._scikit_learn import ScikitLearnDataset


class Digits(ScikitLearnDataset):
    """1797 handwritten digits of 8 x 8 pixels, given as 64 features from 0 to 16.

    Pixels are left as they are unless `standardize` says otherwise; three are 0 in every image.

    Valid when: always; it comes with scikit-learn.
    Cost: none worth mentioning.
    Reference: E. Alpaydin, C. Kaynak, Kybernetika 34 (1998) 369-374.
    """

    kind: Literal["digits"] = "digits"
    task: Literal["classification"] = "classification"
    """The ten digits."""

    def bunch(self) -> Mapping[str, Any]:
        """Return scikit-learn's arrays and names."""
        from sklearn.datasets import load_digits

        bunch: Mapping[str, Any] = load_digits()
        return bunch
