"""What a dataset is: rows from a source, split, cut down and standardized by shared rules."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveInt, model_validator

from fragility.method import JSON, Method, Room

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


def _none(*shape: int) -> NDArray[np.int64]:
    return np.empty(shape, dtype=np.int64)


@dataclass(frozen=True)
class Data:
    """A dataset as used: training and test examples, what their columns mean, what was planted.

    `flipped` (k,) are the positions, ascending, of the training examples whose label was replaced,
    and `flipped_from` (k,) the classes they had. `copies` (copies, 2) holds the position of each
    training example that is a copy, and of its original.
    """

    train: Examples
    test: Examples
    task: Task
    features: tuple[str, ...]
    classes: tuple[str, ...]
    flipped: NDArray[np.int64] = field(default_factory=lambda: _none(0))
    flipped_from: NDArray[np.int64] = field(default_factory=lambda: _none(0))
    copies: NDArray[np.int64] = field(default_factory=lambda: _none(0, 2))


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

    model_config = ConfigDict(frozen=True, extra="forbid")

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


PLANTED: dict[str, JSON] = {"label_noise": 0.0, "duplicates": 0}
"""Fields that plant something, and the values at which they do not."""


class Dataset(Method):
    """Examples to train and test on.

    Without `hold_out` and `test_fraction`, a fifth of the rows is the test set (where the kind has
    no test set of its own), in proportion to the classes. Rows keep the order of their source.

    What is planted, by `label_noise` and `duplicates`, comes last: all other examples are those of
    the dataset without it. The table `planted` says which they are.
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
    label_noise: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Share of the training examples, drawn by the seed, that are given another class; the test set
    keeps its labels."""
    duplicates: NonNegativeInt = 0
    """Training examples, drawn by the seed, that are there twice; the copies stand last."""

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
        if self.label_noise and self.task == "regression":
            raise ValueError("`label_noise` replaces classes, and regression has none; drop it")
        return self

    def identity(self) -> dict[str, JSON]:
        """Return the fields, without those that plant nothing: they came later than the others."""
        return {
            name: value
            for name, value in super().identity().items()
            if name not in PLANTED or value != PLANTED[name]
        }

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

    @property
    def known(self) -> bool:
        """Whether examples can be loaded: those of a study's own code cannot before a run."""
        return True

    def outline(self, seed: int, directory: Path) -> Facts | None:
        """Return the facts where they are known without the inputs, else None.

        Raises:
            DataError: As `load`, of what can be known without the inputs.
        """
        return None

    def load(self, seed: int, directory: Path) -> Data:
        """Return the examples as used; every random part follows from `seed`.

        Raises:
            DataError: The source is not what the fields say, or no training example is left.
        """
        from fragility.datasets._prepare import prepare

        return prepare(self, self.read(seed, directory), seed)


DATASETS: Room[Dataset] = Room("datasets", Dataset, "fragility.datasets")
