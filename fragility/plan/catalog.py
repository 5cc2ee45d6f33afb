"""The data of a study, loaded once, and what names them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fragility.datasets._appearance import Appearance, Part, appearances
from fragility.datasets.base import Data, Dataset, Facts, facts
from fragility.identity import digest


class Catalog:
    """Loads each dataset of a study once; relative paths start at the study's folder."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._ids: dict[tuple[Dataset, int], str] = {}
        self._data: dict[str, Data] = {}
        self._facts: dict[str, Facts] = {}
        self._appearances: dict[tuple[str, Part], dict[int, Appearance]] = {}

    def data_id(self, dataset: Dataset, seed: int) -> str:
        """Returns what names the data: fields, content of the files read, and the study's seed."""
        key = (dataset, seed)
        if key not in self._ids:
            source = dataset.source_digest(self._directory)
            self._ids[key] = digest(["data", dataset.identity(), source, seed])
        return self._ids[key]

    def data(self, dataset: Dataset, seed: int) -> Data:
        """Returns the examples."""
        name = self.data_id(dataset, seed)
        if name not in self._data:
            self._data[name] = dataset.load(seed, self._directory)
        return self._data[name]

    def facts(self, dataset: Dataset, seed: int) -> Facts:
        """Returns the sizes and shapes of the data, which is loaded only where it has to be."""
        name = self.data_id(dataset, seed)
        if name not in self._facts:
            known = None if name in self._data else dataset.outline(seed, self._directory)
            self._facts[name] = known or facts(self.data(dataset, seed))
        return self._facts[name]

    def appearances(
        self, dataset: Dataset, seed: int, part: Part, points: NDArray[np.int64]
    ) -> list[Appearance]:
        """Returns what the examples at `points` (k,) look like; each is read from its source once.

        Raises:
            DataError: the source cannot be read any more.
        """
        known = self._appearances.setdefault((self.data_id(dataset, seed), part), {})
        new = np.array([p for p in np.unique(points) if int(p) not in known], dtype=np.int64)
        if len(new):
            data = self.data(dataset, seed)
            found = appearances(dataset, data, part, new, seed, self._directory)
            known.update(zip(new.tolist(), found, strict=True))
        return [known[int(point)] for point in points]
