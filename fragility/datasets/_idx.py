"""The idx files of MNIST and its relatives: a header, then bytes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fragility.datasets._image_dataset import Part
from fragility.datasets._known import Index
from fragility.datasets._torchvision import TorchvisionDataset
from fragility.errors import DataError

BYTES = 8
"""The header's code of unsigned 8-bit numbers."""
STEMS: dict[Part, str] = {"train": "train", "test": "t10k"}


def idx_names(folder: str) -> tuple[str, ...]:
    """Returns the four files of a dataset, relative to torchvision's root."""
    return tuple(
        f"{folder}/raw/{stem}-{which}-ubyte"
        for stem in STEMS.values()
        for which in ("images-idx3", "labels-idx1")
    )


def idx_array(path: Path, dimensions: int) -> NDArray[np.uint8]:
    """Returns the numbers of an idx file, mapped from disk.

    Raises:
        DataError: the file is no idx file of bytes with so many dimensions, or not whole.
    """
    try:
        with path.open("rb") as stream:
            head = stream.read(4 + 4 * dimensions)
        size = path.stat().st_size
    except OSError as error:
        raise DataError(
            f"{path} cannot be read: {error.strerror}.", "Check its permissions."
        ) from error
    if head[:4] != bytes([0, 0, BYTES, dimensions]) or len(head) != 4 + 4 * dimensions:
        raise DataError(
            f"{path} is not an idx file of {dimensions}-dimensional bytes.",
            "Unpack it if it is compressed, or delete it and download it again.",
        )
    shape = tuple(int(length) for length in np.frombuffer(head[4:], dtype=">u4"))
    whole = len(head) + int(np.prod(shape, dtype=np.int64))
    if size != whole or min(shape) == 0:
        raise DataError(
            f"{path} has {size} bytes, and its header says {whole}.",
            "It is incomplete: delete it and download it again.",
        )
    return np.memmap(path, dtype=np.uint8, mode="r", offset=len(head), shape=shape)


class IdxDataset(TorchvisionDataset):
    """Gray images and labels in idx files."""

    def index(self, place: Path) -> Index:
        """Return the labels, and the images' size."""
        labels, shapes = {}, {}
        for part in STEMS:
            images, marks = self._arrays(place, part)
            if len(images) != len(marks):
                raise DataError(
                    f"{self.title} in {place} has {len(images)} {part} images and {len(marks)}"
                    " labels.",
                    "Delete its files and download them again.",
                )
            labels[part] = marks.astype(np.int64)
            shapes[part] = (1, *images.shape[1:])
        highest = max(int(marks.max()) for marks in labels.values())
        if highest >= len(self.labels) or shapes["train"] != shapes["test"]:
            raise DataError(
                f"The files in {place} are not those of {self.title}: labels up to {highest},"
                f" images {shapes['train'][1:]} and {shapes['test'][1:]}.",
                "Delete them and download them again.",
            )
        return Index(shapes["train"], True, self.labels, labels["train"], labels["test"])

    def pixels(self, place: Path, part: Part, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Return the images (k, 1, height, width)."""
        images, _ = self._arrays(place, part)
        return np.asarray(images[rows])[:, None]

    def _arrays(self, place: Path, part: Part) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        start = 2 * list(STEMS).index(part)
        return idx_array(place / self.names[start], 3), idx_array(place / self.names[start + 1], 1)
