"""What examples look like to a reader: pictures or columns, as their source has them."""

from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fragility.datasets._image_dataset import ImageDataset
from fragility.datasets.base import Data, Dataset, Examples

SIDE = 64
"""Longest side of a picture; a larger one is shrunk."""

COLUMNS = 12
"""Columns that are kept of an example that is no picture: the first ones."""

MODES = {1: "L", 3: "RGB", 4: "RGBA"}
"""What Pillow calls images of so many channels."""

Part = Literal["train", "test"]
Positions = NDArray[np.int64]
_PIXEL = re.compile(r"pixel_(\d+)_(\d+)")


@dataclass(frozen=True)
class Appearance:
    """One example: a PNG in base64, or a JSON object of its first columns; `file` if it is one."""

    picture: str | None
    features: str | None
    file: str | None


@dataclass(frozen=True)
class _Stored:
    """Examples (k, ...) as stored, the range of their values, and the names of columns."""

    values: NDArray[np.generic]
    low: float
    high: float
    names: tuple[str, ...]
    files: Sequence[str | None]


def appearances(
    dataset: Dataset, data: Data, part: Part, points: Positions, seed: int, directory: Path
) -> list[Appearance]:
    """Returns what the examples at `points` (k,) of one part of `data` look like.

    Pixels and columns are those of the source, before anything is normalized or standardized.
    Pixels that are not bytes are drawn from the lowest to the highest value of the training set,
    or from 0 to 1 where they lie within.

    Raises:
        DataError: The source cannot be read any more.
    """
    examples = data.train if part == "train" else data.test
    stored = _stored(dataset, data, part, examples.at(points), seed, directory)
    shaped = _as_images(stored)
    if shaped is None:
        rows = stored.values.reshape(len(points), -1)[:, :COLUMNS]
        texts = [_columns(stored.names, row) for row in rows]
        return [
            Appearance(None, text, file) for text, file in zip(texts, stored.files, strict=True)
        ]
    pixels = _bytes(shaped, stored.low, stored.high)
    return [
        Appearance(png(image), None, file) for image, file in zip(pixels, stored.files, strict=True)
    ]


def png(image: NDArray[np.uint8]) -> str:
    """Returns an image (channels, height, width) as a PNG in base64, shrunk where it is large."""
    from PIL import Image

    flat = image[0] if len(image) == 1 else image.transpose(1, 2, 0)
    drawn = Image.fromarray(np.ascontiguousarray(flat), MODES[len(image)])
    drawn.thumbnail((SIDE, SIDE))
    file = io.BytesIO()
    drawn.save(file, "PNG", optimize=True)
    return base64.b64encode(file.getvalue()).decode()


def _stored(
    dataset: Dataset, data: Data, part: Part, used: Examples, seed: int, directory: Path
) -> _Stored:
    """Returns the examples in use as the source has them."""
    files: Sequence[str | None] = [None] * len(used)
    if isinstance(dataset, ImageDataset):
        place = dataset.place(directory)
        values = dataset.pixels(place, part, used.rows)
        known = data.train.inputs
        names = dataset.file_names(place, part, used.rows) or files
        return _Stored(values, *_range(values, known), data.features, names)
    if dataset.standardize == "none":
        return _Stored(used.inputs, *_range(used.inputs, data.train.inputs), data.features, files)
    source = dataset.read(seed, directory)
    whole = source.train if part == "train" or source.test is None else source.test
    places = {int(row): place for place, row in enumerate(whole.rows)}
    values = whole.inputs[[places[int(row)] for row in used.rows]]
    return _Stored(values, *_range(values, source.train.inputs), source.features, files)


def _range(values: NDArray[np.generic], known: NDArray[np.floating]) -> tuple[float, float]:
    if values.dtype == np.uint8:
        return 0.0, 255.0
    low, high = float(known.min()), float(known.max())
    return (0.0, 1.0) if low >= 0 and high <= 1 else (low, high)


def _as_images(stored: _Stored) -> NDArray[np.generic] | None:
    """Returns images (k, channels, height, width), None where the examples are none."""
    values = stored.values
    if values.ndim == 4 and values.shape[1] in MODES:
        return values
    # Digits come as columns, whose names say where each pixel belongs.
    matches = [_PIXEL.fullmatch(name) for name in stored.names]
    if not matches or None in matches or values.ndim != 2:
        return None
    places = np.array([[int(m[1]), int(m[2])] for m in matches if m])
    images = np.zeros((len(values), 1, *(places.max(axis=0) + 1)), dtype=values.dtype)
    images[:, 0, places[:, 0], places[:, 1]] = values
    return images


def _bytes(images: NDArray[np.generic], low: float, high: float) -> NDArray[np.uint8]:
    if images.dtype == np.uint8:
        return images.astype(np.uint8, copy=False)
    span = high - low if high > low else 1.0
    shares = (images.astype(np.float64) - low) / span
    return np.round(255 * np.clip(shares, 0, 1)).astype(np.uint8)


def _columns(names: Sequence[str], row: NDArray[np.generic]) -> str:
    named = names or [f"x{column}" for column in range(len(row))]
    values = [value.item() for value in row]
    return json.dumps(dict(zip(named, values, strict=False)), ensure_ascii=False)
