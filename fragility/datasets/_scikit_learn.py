"""Datasets that come with scikit-learn: no download."""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fragility.datasets.base import Dataset, Examples, Source


class ScikitLearnDataset(Dataset):
    """A dataset that is part of the scikit-learn package."""

    @abstractmethod
    def bunch(self) -> Mapping[str, Any]:
        """Return scikit-learn's `data`, `target`, `feature_names` and `target_names`."""

    def read(self, seed: int, directory: Path) -> Source:
        """Return all rows in the package's order."""
        bunch = self.bunch()
        inputs = np.asarray(bunch["data"], dtype=np.float64)
        rows = np.arange(len(inputs))
        classes: tuple[str, ...] = ()
        if self.task == "classification":
            examples = Examples(inputs, np.asarray(bunch["target"], dtype=np.int64), rows)
            classes = tuple(str(name) for name in bunch["target_names"])
        else:
            numbers = np.asarray(bunch["target"], dtype=np.float64).reshape(len(inputs), -1)
            examples = Examples(inputs, numbers, rows)
        return Source(
            train=examples,
            test=None,
            features=tuple(str(name) for name in bunch["feature_names"]),
            classes=classes,
        )

    def source_digest(self, directory: Path) -> str:
        """Return the hash of inputs and targets, so that a changed package is noticed."""
        bunch = self.bunch()
        content = hashlib.sha256()
        for name in ("data", "target"):
            values = np.ascontiguousarray(bunch[name], dtype="<f8")
            content.update(f"{name} {values.shape}".encode())
            content.update(values.tobytes())
        return content.hexdigest()[:32]
