"""Arrays in a numpy file."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from fragility.datasets._arrays import example_array, label_array
from fragility.datasets._image_dataset import ImageDataset, Part
from fragility.datasets._known import Index
from fragility.datasets._places import local_path
from fragility.errors import DataError


class Npz(ImageDataset):
    """A numpy file with the arrays `x_train`, `y_train`, `x_test` and `y_test`.

    `numpy.savez(path, x_train=..., ...)` writes one. Unsigned 8-bit numbers are images: (n, height,
    width), (n, channels, height, width) or (n, height, width, channels) with 1, 3 or 4 channels;
    they become numbers from 0 to 1. Decimal numbers, of any shape (n, ...), stay as they are. `y`
    holds whole numbers or texts, (n,) or (n, 1); classes are those of `y_train`, in order.

    Valid when: the arrays hold numbers and texts; a file with pickled objects is refused.
    Cost: reading the file; examples in use are held in memory, images in float32.
    Reference: numpy, https://numpy.org/doc/stable/reference/generated/numpy.savez.html.
    """

    kind: Literal["npz"] = "npz"
    path: Annotated[str, Field(min_length=1)]
    """The file: absolute, or relative to the study's folder, FRAGILITY_DATA (or `--data`), or
    `data` in the working directory."""

    def place(self, directory: Path) -> Path:
        """Return the file."""
        found = local_path(self.path, directory)
        if not found.is_file():
            raise DataError(f"{found} is a folder.", "Name the file in it.")
        return found

    def files(self, place: Path) -> Mapping[str, Path]:
        """Return the file; its name does not count."""
        return {"": place}

    def index(self, place: Path) -> Index:
        """Return the labels, and the shape of an example."""
        arrays = {part: _array(place, f"x_{part}") for part in ("train", "test")}
        labels = {
            part: label_array(_stored(place, f"y_{part}"), place, f"y_{part}")
            for part in ("train", "test")
        }
        for part, array in arrays.items():
            if len(array) != len(labels[part]) or not len(array):
                raise DataError(
                    f"{place} has {len(array)} examples in `x_{part}` and {len(labels[part])} in"
                    f" `y_{part}`.",
                    "Give every example a label, and at least one of each.",
                )
        train, test = arrays["train"], arrays["test"]
        if train.shape[1:] != test.shape[1:] or train.dtype != test.dtype:
            raise DataError(
                f"{place}: `x_train` holds {train.dtype} of shape {train.shape[1:]} and `x_test`"
                f" {test.dtype} of shape {test.shape[1:]}.",
                "Store both alike.",
            )
        classes, known = np.unique(labels["train"], return_inverse=True)
        new = np.setdiff1d(labels["test"], classes)
        if len(new):
            raise DataError(
                f"{place}: `y_test` has classes that `y_train` does not have: "
                f"{', '.join(f'`{label}`' for label in new[:5])}.",
                "Classes are those of the training set.",
            )
        return Index(
            shape=train.shape[1:],
            bytes=train.dtype == np.uint8,
            classes=tuple(str(label) for label in classes),
            train=known.astype(np.int64),
            test=np.searchsorted(classes, labels["test"]).astype(np.int64),
        )

    def pixels(self, place: Path, part: Part, rows: NDArray[np.int64]) -> NDArray[np.generic]:
        """Return the examples at `rows`, images with channels first."""
        return np.ascontiguousarray(_array(place, f"x_{part}")[rows])


def _array(path: Path, name: str) -> NDArray[np.generic]:
    return example_array(_stored(path, name), path, name)


def _stored(path: Path, name: str) -> NDArray[np.generic]:
    try:
        with path.open("rb") as stream:
            file = np.load(stream, allow_pickle=False)
            if not isinstance(file, np.lib.npyio.NpzFile):
                raise ValueError("it holds one array without a name")
            if name not in file.files:
                listed = ", ".join(f"`{key}`" for key in file.files) or "none"
                raise DataError(
                    f"{path} has no array `{name}`. Its arrays: {listed}.",
                    "Write it as numpy.savez(path, x_train=..., y_train=..., x_test=...,"
                    " y_test=...).",
                )
            array: NDArray[np.generic] = file[name]
            return array
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(
            f"{path} cannot be read as a numpy file: {error}.",
            "Write it with numpy.savez, without objects.",
        ) from error
