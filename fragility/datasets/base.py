"""What a dataset is: rows from a source, split, cut down and standardized by shared rules."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveInt, model_validator

from fragility.method import Method, Room

Task = Literal["classification", "regression"]
Share = Annotated[float, Field(gt=0, le=1)]


@dataclass(frozen=True)
class Examples:
    """Examples in order.

    `inputs` (n, ...) floating, `targets` (n,) int64 classes or (n, outputs) float64, `rows` (n,)
    int64 positions in the source.
    """

    inputs: NDArray[np.floating]
    targets: NDArray[np.generic]
    rows: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.rows)

    def at(self, positions: NDArray[np.int64]) -> Examples:
        """Return the examples at `positions` (k,), in their order."""
        return Examples(self.inputs[positions], self.targets[positions], self.rows[positions])


@dataclass(frozen=True)
class Data:
    """A dataset as used: training and test examples, and what their columns mean."""

    train: Examples
    test: Examples
    task: Task
    features: tuple[str, ...]
    classes: tuple[str, ...]


@dataclass(frozen=True)
class Source:
    """Everything that was read: `test` is None when the test set is still to be split off."""

    train: Examples
    test: Examples | None
    features: tuple[str, ...]
    classes: tuple[str, ...]


@dataclass(frozen=True)
class Facts:
    """Sizes and shapes; `outputs` is the number of classes, or of target columns."""

    n_train: int
    n_test: int
    input_shape: tuple[int, ...]
    outputs: int
    task: Task


def facts(data: Data) -> Facts:
    """Return what the compiler needs to know about `data`."""
    classification = data.task == "classification"
    return Facts(
        n_train=len(data.train),
        n_test=len(data.test),
        input_shape=data.train.inputs.shape[1:],
        outputs=len(data.classes) if classification else data.train.targets.shape[1],
        task=data.task,
    )


class Subset(BaseModel):
    """Part of the training and test set: whole numbers are counts, numbers up to 1.0 are shares."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    train: PositiveInt | Share | None = None
    """Training examples to keep; all when not given."""
    test: PositiveInt | Share | None = None
    """Test examples to keep; all when not given."""
    kind: Literal["first", "random", "stratified"] = "random"
    """Which: the first rows, random rows, or random rows with the classes in proportion."""

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.train is None and self.test is None:
            raise ValueError("say how many to keep: `train`, `test` or both")
        return self


class Dataset(Method):
    """Examples to train and test on.

    Without `hold_out` and `test_fraction`, a fifth of the rows is the test set (where the kind has
    no test set of its own), in proportion to the classes. Rows keep the order of their source.
    """

    task: Task
    """Whether targets are classes or numbers."""
    hold_out: Annotated[tuple[NonNegativeInt, ...], Field(min_length=1)] | None = None
    """Rows of the source, from 0, that are the test set, in this order; the rest is trained on."""
    test_fraction: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Share of the rows, drawn by the seed, that is the test set; classes in proportion."""
    subset: Subset | None = None
    """Part of the examples to use, taken after the split."""
    standardize: Literal["none", "train", "all"] = "none"
    """Give every feature mean 0 and variance 1 over the training examples, or over all, as used."""
    standardize_targets: bool = False
    """Do the same with regression targets, over the same examples."""

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if self.hold_out is not None and self.test_fraction is not None:
            raise ValueError("the test set is chosen twice: drop `hold_out` or `test_fraction`")
        if self.hold_out is not None and len(set(self.hold_out)) < len(self.hold_out):
            raise ValueError("`hold_out` names a row twice; name each once")
        if (
            self.subset is not None
            and self.subset.kind == "stratified"
            and self.task == "regression"
        ):
            raise ValueError("a stratified subset needs classes; use `kind: random`")
        if self.standardize_targets and self.task == "classification":
            raise ValueError("classes cannot be standardized; drop `standardize_targets`")
        if self.standardize_targets and self.standardize == "none":
            raise ValueError("say over which examples: `standardize: train` or `standardize: all`")
        return self

    @abstractmethod
    def read(self, seed: int, directory: Path) -> Source:
        """Return every example of the source; relative paths start at `directory`.

        Raises:
            DataError: A file is missing or is not what the fields say.
        """

    @abstractmethod
    def source_digest(self, directory: Path) -> str:
        """Return the hash of the content that is read; empty when fields and seed make it all.

        Raises:
            DataError: A file is missing.
        """

    def load(self, seed: int, directory: Path) -> Data:
        """Return the examples as used; every random part follows from `seed`.

        Raises:
            DataError: The source is not what the fields say, or no training example is left.
        """
        from fragility.datasets._prepare import prepare

        return prepare(self, self.read(seed, directory), seed)


DATASETS: Room[Dataset] = Room("datasets", Dataset, "fragility.datasets")
