"""Small photographs of ten kinds of things."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from fragility.datasets._batches import CHANNELS, SIDE, read_batch
from fragility.datasets._image_dataset import Part
from fragility.datasets._known import Index
from fragility.datasets._places import places
from fragility.datasets._torchvision import TorchvisionDataset
from fragility.errors import DataError

FOLDER = "cifar-10-batches-py"
BATCHES: dict[Part, tuple[str, ...]] = {
    "train": tuple(f"{FOLDER}/data_batch_{number}" for number in range(1, 6)),
    "test": (f"{FOLDER}/test_batch",),
}


class Cifar10(TorchvisionDataset):
    """CIFAR-10: 50,000 training and 10,000 test photographs of ten classes, 32 x 32, in colour.

    Read from `cifar-10-batches-py`, as torchvision leaves it. Epifano et al. 2023 give LeNet and
    VGG13 `normalize: {mean: 0.5, std: 0.5}`. A folder of CIFAR images is `kind: image_folder`.

    Valid when: the files are there, or `download: true`.
    Cost: 184 MB to read and 614 MB in memory for all training images; a subset keeps its part.
    Reference: A. Krizhevsky, Learning multiple layers of features from tiny images (2009).
    """

    title: ClassVar[str] = "CIFAR-10"
    published_as: ClassVar[str] = "CIFAR10"
    names: ClassVar[tuple[str, ...]] = (*BATCHES["train"], *BATCHES["test"])
    labels: ClassVar[tuple[str, ...]] = (
        "airplane",
        "automobile",
        "bird",
        "cat",
        "deer",
        "dog",
        "frog",
        "horse",
        "ship",
        "truck",
    )

    kind: Literal["cifar10"] = "cifar10"

    def beside(self, directory: Path) -> str:
        """Return that there is a folder of images, where there is one."""
        for place in places(self.root, directory):
            if (place.folder / "cifar10" / "train").is_dir():
                return (
                    f" {place.folder / 'cifar10'} is a folder of images: that is"
                    " `kind: image_folder` with `path: cifar10`."
                )
        return ""

    def index(self, place: Path) -> Index:
        """Return the labels."""
        labels = {
            part: np.concatenate([read_batch(place / name)[1] for name in names])
            for part, names in BATCHES.items()
        }
        for part, marks in labels.items():
            if marks.min() < 0 or marks.max() >= len(self.labels):
                raise DataError(
                    f"The {part} batches in {place} have labels outside 0 to 9.",
                    "Delete them and download them again.",
                )
        shape = (CHANNELS, SIDE, SIDE)
        return Index(shape, True, self.labels, labels["train"], labels["test"])

    def pixels(self, place: Path, part: Part, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Return the images (k, 3, 32, 32); one batch is held at a time."""
        out = np.empty((len(rows), CHANNELS, SIDE, SIDE), dtype=np.uint8)
        first = 0
        for name in BATCHES[part]:
            images, _ = read_batch(place / name)
            here = (rows >= first) & (rows < first + len(images))
            out[here] = images[rows[here] - first]
            first += len(images)
        return out
