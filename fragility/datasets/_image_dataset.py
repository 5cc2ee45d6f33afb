"""Datasets of images, wherever they lie: pixels are read of the examples in use only."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveInt, model_validator

from fragility.datasets._known import Index, Known, known
from fragility.datasets._pixels import Pixels, moments, resized, scaled
from fragility.datasets._prepare import prepare
from fragility.datasets.base import Data, Dataset, Examples, Facts, Source, facts
from fragility.errors import DataError
from fragility.method import JSON

Part = Literal["train", "test"]
Channel = Annotated[float, Field(allow_inf_nan=False)]
Spread = Annotated[float, Field(gt=0, allow_inf_nan=False)]
ELSEWHERE = ("root", "path", "download")
"""Fields that say where files are; what they hold names the data."""


class Normalization(BaseModel):
    """A mean and a standard deviation of pixels from 0 to 1, for all channels or one for each."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    mean: Channel | Annotated[tuple[Channel, ...], Field(min_length=1)]
    """What is subtracted."""
    std: Spread | Annotated[tuple[Spread, ...], Field(min_length=1)]
    """What the difference is divided by."""


class ImageDataset(Dataset):
    """Images with a test set of their own, as float32 (channels, height, width).

    Pixels become numbers from 0 to 1, after `resize` and before `normalize` and `pad`, in this
    order. The files' content names the data, wherever they lie.
    """

    task: Literal["classification"] = "classification"
    """What an image shows."""
    normalize: Literal["none", "train"] | Normalization = "none"
    """Leave pixels from 0 to 1; or give every channel mean 0 and variance 1 over the training
    images as used; or subtract a `mean` and divide by a `std`, as `{mean: 0.1307, std: 0.3081}`."""
    pad: NonNegativeInt = 0
    """Zeros on every side, after `normalize`: 2 makes 32 x 32 of 28 x 28, as LeNet has it."""
    resize: PositiveInt | tuple[PositiveInt, PositiveInt] | None = None
    """Side of a square, or height and width, that every image is brought to, by bilinear
    interpolation."""

    @model_validator(mode="after")
    def _has_a_test_set(self) -> Self:
        if self.hold_out is not None or self.test_fraction is not None:
            raise ValueError(
                f"`{self.kind}` has a test set of its own: drop `hold_out` and `test_fraction`, and"
                " take part of the test set with `subset`"
            )
        if self.standardize != "none":
            raise ValueError("`standardize` is for columns; images have `normalize`")
        return self

    def identity(self) -> dict[str, JSON]:
        """Return the fields without those that say where files are: content names them."""
        return {name: value for name, value in super().identity().items() if name not in ELSEWHERE}

    @abstractmethod
    def place(self, directory: Path) -> Path:
        """Return the file or folder that holds the images.

        Raises:
            DataError: There is none.
        """

    @abstractmethod
    def files(self, place: Path) -> Mapping[str, Path]:
        """Return every file that is read, by the name under which it counts in the hash."""

    @abstractmethod
    def index(self, place: Path) -> Index:
        """Return labels and sizes.

        Raises:
            DataError: The files are not what they should be.
        """

    @abstractmethod
    def pixels(self, place: Path, part: Part, rows: NDArray[np.int64]) -> NDArray[np.generic]:
        """Return the examples at `rows` (k,) of one part, (k, ...) as stored.

        Raises:
            DataError: The files are not what they should be.
        """

    def file_names(self, place: Path, part: Part, rows: NDArray[np.int64]) -> list[str] | None:
        """Return the file of each example at `rows` (k,), None where one file holds many."""
        return None

    def source_digest(self, directory: Path) -> str:
        """Return the hash of the files' content, which is kept until one of them changes."""
        return self._known(self.place(directory)).content

    def outline(self, seed: int, directory: Path) -> Facts:
        """Return the facts; no pixel is read."""
        index, data = self._chosen(self.place(directory), seed)
        return replace(facts(data), input_shape=self._shape(index))

    def read(self, seed: int, directory: Path) -> Source:
        """Return all labels and rows; inputs are left empty, `load` reads those in use."""
        return _source(self._known(self.place(directory)).index)

    def load(self, seed: int, directory: Path) -> Data:
        """Return the examples as used; of other examples no pixel is read.

        Raises:
            DataError: The files are not what the fields say, or no training example is left.
        """
        place = self.place(directory)
        index, data = self._chosen(place, seed)
        # Copies stand last, and do not count: what is planted changes no other example.
        counted = len(data.train) - len(data.copies)
        train, test = self._inputs(
            index,
            self.pixels(place, "train", data.train.rows),
            self.pixels(place, "test", data.test.rows),
            counted,
        )
        return replace(
            data,
            train=replace(data.train, inputs=train),
            test=replace(data.test, inputs=test),
        )

    def size(self, stored: tuple[int, int]) -> tuple[int, int]:
        """Return height and width after `resize`."""
        if self.resize is None:
            return stored
        return (self.resize, self.resize) if isinstance(self.resize, int) else self.resize

    def _known(self, place: Path) -> Known:
        return known(self.kind, place, self.files(place), lambda: self.index(place))

    def _chosen(self, place: Path, seed: int) -> tuple[Index, Data]:
        """Return the index, and the examples in use without their inputs."""
        index = self._known(place).index
        self._check(index)
        return index, prepare(self, _source(index), seed)

    def _check(self, index: Index) -> None:
        if not index.bytes:
            for name in ("resize", "normalize"):
                if getattr(self, name) not in (None, "none"):
                    raise DataError(
                        f"`{name}` is for pixels from 0 to 255, and these are decimal numbers.",
                        "Drop it, or store the images as unsigned 8-bit numbers.",
                    )
        if self.pad and len(index.shape) != 3:
            raise DataError(
                f"`pad` is for images, and these examples have the shape {index.shape}.", "Drop it."
            )
        if isinstance(self.normalize, Normalization):
            for name in ("mean", "std"):
                given = getattr(self.normalize, name)
                if isinstance(given, tuple) and len(given) not in (1, index.shape[0]):
                    raise DataError(
                        f"`normalize.{name}` has {len(given)} numbers, and the images have"
                        f" {index.shape[0]} channels.",
                        "Give one number, or one for each channel.",
                    )

    def _shape(self, index: Index) -> tuple[int, ...]:
        if len(index.shape) != 3:
            return index.shape
        channels, *stored = index.shape
        height, width = self.size((stored[0], stored[1]))
        return (channels, height + 2 * self.pad, width + 2 * self.pad)

    def _inputs(
        self, index: Index, train: NDArray[np.generic], test: NDArray[np.generic], counted: int
    ) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
        """Return both parts as floating numbers; `train` is normalized by its first `counted`."""
        if not index.bytes:
            margin = [(0, 0), (0, 0), (self.pad,) * 2, (self.pad,) * 2]
            decimal: list[NDArray[np.floating]] = [
                np.pad(part, margin) if self.pad else part  # type: ignore[misc]
                for part in (train, test)
            ]
            return decimal[0], decimal[1]
        first, second = self._resized(train), self._resized(test)
        channels = index.shape[0]
        mean, std = np.zeros(channels), np.ones(channels)
        if self.normalize == "train":
            mean, std = moments(first[:counted])
        elif isinstance(self.normalize, Normalization):
            mean = np.broadcast_to(np.asarray(self.normalize.mean, np.float64), (channels,))
            std = np.broadcast_to(np.asarray(self.normalize.std, np.float64), (channels,))
        return scaled(first, mean, std, self.pad), scaled(second, mean, std, self.pad)

    def _resized(self, stored: NDArray[np.generic]) -> Pixels:
        pixels = stored.astype(np.uint8, copy=False)
        size = self.size((stored.shape[2], stored.shape[3]))
        return pixels if pixels.shape[2:] == size else resized(pixels, *size)


def _source(index: Index) -> Source:
    """Return the labels as a source whose inputs take no memory."""
    train, test = (
        Examples(np.empty((len(labels), 0), dtype=np.float32), labels, np.arange(len(labels)))
        for labels in (index.train, index.test)
    )
    return Source(train, test, (), index.classes)
