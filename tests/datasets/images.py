"""Files of made-up images, in the formats of the published datasets."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

SIZES = {"train": 60, "test": 20}
STEMS = {"train": "train", "test": "t10k"}


def labels(part: str, n: int | None = None) -> NDArray[np.int64]:
    return np.arange(n or SIZES[part], dtype=np.int64) % 10


def gray(part: str, n: int | None = None) -> NDArray[np.uint8]:
    """Noise (n, 28, 28), brighter in the rows that belong to the class."""
    generator = np.random.default_rng(len(part))
    marks = labels(part, n)
    images = generator.integers(0, 120, (len(marks), 28, 28), dtype=np.uint8)
    images[np.arange(len(marks))[:, None], 2 * marks[:, None] + np.arange(4)] += 120
    return images


def colour(part: str, n: int | None = None) -> NDArray[np.uint8]:
    """Noise (n, 3, 32, 32)."""
    shape = (n or SIZES[part], 3, 32, 32)
    return np.random.default_rng(len(part)).integers(0, 256, shape, dtype=np.uint8)


def write_idx(root: Path, folder: str = "MNIST", train: int | None = None) -> None:
    raw = root / folder / "raw"
    raw.mkdir(parents=True)
    for part, stem in STEMS.items():
        n = train if part == "train" else None
        for which, array in [("images-idx3", gray(part, n)), ("labels-idx1", labels(part, n))]:
            head = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
            (raw / f"{stem}-{which}-ubyte").write_bytes(head + array.astype(np.uint8).tobytes())


def write_batches(root: Path) -> None:
    folder = root / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    names = [f"data_batch_{number}" for number in range(1, 6)]
    parts = [("train", names), ("test", ["test_batch"])]
    for part, batches in parts:
        images = colour(part).reshape(SIZES[part], -1)
        for name, rows in zip(batches, np.split(np.arange(SIZES[part]), len(batches)), strict=True):
            entry = {"data": images[rows], "labels": labels(part)[rows].tolist()}
            (folder / name).write_bytes(pickle.dumps(entry, protocol=2))
    meta = {"label_names": [f"class {number}" for number in range(10)]}
    (folder / "batches.meta").write_bytes(pickle.dumps(meta, protocol=2))


def write_folder(root: Path, ending: str = "png") -> None:
    from PIL import Image

    for part in SIZES:
        for row, (image, label) in enumerate(zip(colour(part), labels(part), strict=True)):
            folder = root / part / f"c{label}"
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image.transpose(1, 2, 0)).save(folder / f"{row:03}.{ending}")
