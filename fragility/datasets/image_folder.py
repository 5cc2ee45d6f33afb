"""Image files in one folder for each class."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from fragility.datasets._image_dataset import ImageDataset, Part
from fragility.datasets._known import Index
from fragility.datasets._places import local_path
from fragility.errors import DataError

ENDINGS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")
PARTS: tuple[Part, ...] = ("train", "test")


class ImageFolder(ImageDataset):
    """A folder with `train/CLASS/*.png` and `test/CLASS/*.png`, as torchvision's ImageFolder.

    Classes are the folders in `train`, in alphabetical order; images are ordered by class and path,
    and read in colour (three channels) by Pillow. Only the images in use are decoded.

    Valid when: all images have one size, or `resize` gives them one.
    Cost: decoding every image in use; 4 bytes a channel and pixel in memory.
    Reference: torchvision.datasets.ImageFolder.
    """

    kind: Literal["image_folder"] = "image_folder"
    path: Annotated[str, Field(min_length=1)]
    """The folder: absolute, or relative to the study's folder, FRAGILITY_DATA (or `--data`), or
    `data` in the working directory."""

    def place(self, directory: Path) -> Path:
        """Return the folder."""
        found = local_path(self.path, directory)
        for part in PARTS:
            if not (found / part).is_dir():
                raise DataError(
                    f"{found} has no folder `{part}`.",
                    "It needs `train` and `test`, each with a folder of images for each class.",
                )
        return found

    def files(self, place: Path) -> Mapping[str, Path]:
        """Return all images of both parts, in order."""
        return {name: place / name for part in PARTS for name in _listed(place, part)}

    def index(self, place: Path) -> Index:
        """Return the labels; the size is that of the first training image, unless resized."""
        listed = {part: _listed(place, part) for part in PARTS}
        names = {part: [name.split("/")[1] for name in listed[part]] for part in PARTS}
        for part in PARTS:
            if not names[part]:
                raise DataError(
                    f"{place / part} has no images in folders of classes.",
                    f"Images end in {', '.join(ENDINGS)}.",
                )
        classes = tuple(sorted(set(names["train"])))
        if new := sorted(set(names["test"]) - set(classes)):
            raise DataError(
                f"{place / 'test'} has classes that `train` does not have: {', '.join(new[:5])}.",
                "Classes are the folders in `train` that hold images.",
            )
        number = {name: position for position, name in enumerate(classes)}
        labels = {
            part: np.array([number[name] for name in names[part]], dtype=np.int64) for part in PARTS
        }
        height, width = _decoded(place / listed["train"][0], None).shape[1:]
        return Index((3, height, width), True, classes, labels["train"], labels["test"])

    def pixels(self, place: Path, part: Part, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Return the images at `rows` in colour, in the size that all are to have."""
        listed = _listed(place, part)
        stored = _decoded(place / _listed(place, "train")[0], None).shape
        size = self.size((stored[1], stored[2]))
        out = np.empty((len(rows), 3, *size), dtype=np.uint8)
        for position, row in enumerate(rows):
            path = place / listed[int(row)]
            image = _decoded(path, None if self.resize is None else size)
            if image.shape[1:] != size:
                raise DataError(
                    f"{path} is {image.shape[1]} x {image.shape[2]}, and the first image"
                    f" {size[0]} x {size[1]}.",
                    f"Give `resize: {min(size)}`, or another size, to bring all to one.",
                )
            out[position] = image
        return out

    def file_names(self, place: Path, part: Part, rows: NDArray[np.int64]) -> list[str]:
        """Return the path of each image from the folder."""
        listed = _listed(place, part)
        return [listed[int(row)] for row in rows]


def _listed(place: Path, part: Part) -> list[str]:
    """Return the images of one part as paths from `place`, ordered as torchvision orders them."""
    found = []
    for entry in sorted(os.scandir(place / part), key=lambda entry: entry.name):
        if entry.is_dir():
            for folder, _, files in sorted(os.walk(entry.path, followlinks=True)):
                inner = Path(folder).relative_to(place).as_posix()
                found += [f"{inner}/{n}" for n in sorted(files) if n.lower().endswith(ENDINGS)]
    return found


def _decoded(path: Path, size: tuple[int, int] | None) -> NDArray[np.uint8]:
    """Return one image (3, height, width), in `size` if given."""
    from PIL import Image

    try:
        with Image.open(path) as file:
            image = file.convert("RGB")
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(f"{path} cannot be read as an image: {error}.", "Remove it.") from error
    if size is not None and image.size != size[::-1]:
        image = image.resize(size[::-1], Image.Resampling.BILINEAR)
    return np.asarray(image, dtype=np.uint8).transpose(2, 0, 1)
