"""The pickled batches of CIFAR-10, read without running what a pickle may ask for."""

from __future__ import annotations

import pickle
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fragility.errors import DataError

SIDE = 32
CHANNELS = 3
ALLOWED = {
    (module, name)
    for core in ("numpy.core", "numpy._core")
    for module, name in [
        (f"{core}.multiarray", "_reconstruct"),
        (f"{core}.multiarray", "scalar"),
        (f"{core}.numeric", "_frombuffer"),
        ("numpy", "ndarray"),
        ("numpy", "dtype"),
        ("_codecs", "encode"),
    ]
}
"""What arrays are made of. A pickle that names anything else is refused."""


class _Arrays(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in ALLOWED:
            raise pickle.UnpicklingError(f"it names {module}.{name}, which no batch of images does")
        return super().find_class(module, name)


def read_batch(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Returns a batch's images (n, 3, 32, 32) and labels (n,).

    Raises:
        DataError: the file is not a batch of CIFAR-10, or names code to be run.
    """
    try:
        entry = _Arrays(BytesIO(path.read_bytes()), encoding="latin1").load()
        images = np.asarray(entry["data"]).reshape(-1, CHANNELS, SIDE, SIDE)
        labels = np.asarray(entry["labels"], dtype=np.int64)
    except OSError as error:
        raise DataError(
            f"{path} cannot be read: {error.strerror}.", "Check its permissions."
        ) from error
    except Exception as error:
        # A damaged pickle may raise anything.
        raise DataError(
            f"{path} is not a batch of CIFAR-10: {error}.",
            "Delete it and download it again.",
        ) from error
    if images.dtype != np.uint8 or labels.shape != (len(images),) or not len(images):
        raise DataError(
            f"{path} is not a batch of CIFAR-10: {len(images)} images of {images.dtype},"
            f" {labels.size} labels.",
            "Delete it and download it again.",
        )
    return images, labels
