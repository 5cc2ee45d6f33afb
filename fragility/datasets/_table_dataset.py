"""Datasets in a table file, whatever its format."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from fragility.datasets._columns import Table, read_table
from fragility.datasets._files import content_digest, local_file
from fragility.datasets.base import Dataset, Examples, Source, Task
from fragility.errors import DataError
from fragility.method import JSON

Name = Annotated[str, Field(min_length=1)]


class TableDataset(Dataset):
    """Examples in the rows of a table file: numeric feature columns and one label column."""

    format: ClassVar[Literal["csv", "parquet"]]

    path: Name
    """The file, absolute or relative to the study's folder."""
    test_path: Name | None = None
    """A second file with the same columns that is the test set."""
    label: Name
    """Column of the class (text, whole numbers or true/false) or of the number to predict."""
    features: Annotated[tuple[Name, ...], Field(min_length=1)] | None = None
    """Columns to predict from, all numeric; all but the label when not given."""
    task: Task
    """Whether the label is a class or a number."""

    @model_validator(mode="after")
    def _says_what_is_tested(self) -> Self:
        ways = [
            w for w in ("hold_out", "test_fraction", "test_path") if getattr(self, w) is not None
        ]
        if not ways:
            raise ValueError(
                "no test set: give `test_fraction` (such as 0.2), `hold_out` (rows) or `test_path`"
            )
        if len(ways) > 1:
            raise ValueError(f"the test set is chosen twice: keep one of `{'`, `'.join(ways)}`")
        if self.features is not None and self.label in self.features:
            raise ValueError(
                f"`{self.label}` is both the label and a feature; take it out of `features`"
            )
        if self.features is not None and len(set(self.features)) < len(self.features):
            raise ValueError("`features` names a column twice; name each once")
        return self

    def identity(self) -> dict[str, JSON]:
        """Return the fields without the paths: content names a file, wherever it lies."""
        whole = super().identity()
        return {**whole, "path": None, "test_path": None if self.test_path is None else True}

    def source_digest(self, directory: Path) -> str:
        """Return the hashes of the files' contents."""
        return " ".join(content_digest(file) for file in self._files(directory))

    def read(self, seed: int, directory: Path) -> Source:
        """Return the rows in the files' order; each file's rows count from 0."""
        tables = [read_table(file, self.format) for file in self._files(directory)]
        features = self.features or tuple(n for n in tables[0].columns if n != self.label)
        if not features:
            raise DataError(
                f"{tables[0].path} has no column beside the label `{self.label}`.",
                "Add feature columns.",
            )
        targets, classes = self._targets(tables)
        parts = [
            Examples(
                np.stack([table.numbers(name, "feature") for name in features], axis=1),
                target,
                np.arange(table.rows),
            )
            for table, target in zip(tables, targets, strict=True)
        ]
        return Source(parts[0], parts[1] if len(parts) > 1 else None, features, classes)

    def _files(self, directory: Path) -> list[Path]:
        paths = [self.path] if self.test_path is None else [self.path, self.test_path]
        return [local_file(path, directory) for path in paths]

    def _targets(self, tables: list[Table]) -> tuple[list[NDArray[np.generic]], tuple[str, ...]]:
        """Return each table's targets, and the class names in order, which all tables share."""
        if self.task == "regression":
            return [table.numbers(self.label, "label")[:, None] for table in tables], ()
        columns = [table.labels(self.label) for table in tables]
        found = {label for column in columns for label in column}
        # Whole numbers in order of size (9 before 10); as text as soon as one is text.
        by_size = all(isinstance(label, int) for label in found)
        names = tuple(str(label) for label in sorted(found, key=None if by_size else str))
        index = {name: position for position, name in enumerate(names)}
        return [
            np.array([index[str(v)] for v in column], dtype=np.int64) for column in columns
        ], names
