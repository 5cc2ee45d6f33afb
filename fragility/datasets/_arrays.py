"""Arrays of examples and labels as others store them, checked."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fragility.errors import DataError

COLOURS = (1, 3, 4)


def example_array(values: NDArray[np.generic], where: object, name: str) -> NDArray[np.generic]:
    """Return inputs (n, ...), images as (n, channels, height, width); `where` names the source.

    Raises:
        DataError: They are neither images nor finite decimal numbers.
    """
    if values.dtype == np.uint8:
        if values.ndim not in (3, 4):
            raise DataError(
                f"{where}: `{name}` holds 8-bit numbers of shape {values.shape}, which is not that"
                " of images.",
                "Images are (n, height, width) or (n, channels, height, width); store features as"
                " decimal numbers.",
            )
        if values.ndim == 3:
            return values[:, None]
        last = values.shape[1] not in COLOURS and values.shape[3] in COLOURS
        return values.transpose(0, 3, 1, 2) if last else values
    if values.dtype not in (np.float16, np.float32, np.float64) or values.ndim < 2:
        raise DataError(
            f"{where}: `{name}` holds {values.dtype} of shape {values.shape}.",
            "Store unsigned 8-bit images or decimal numbers, an example a row.",
        )
    if not np.isfinite(values).all():
        raise DataError(
            f"{where}: `{name}` has values that are missing or not finite.",
            "Fill in or remove these examples; nothing is imputed.",
        )
    return values.astype(np.float32) if values.dtype == np.float16 else values


def label_array(values: NDArray[np.generic], where: object, name: str) -> NDArray[np.generic]:
    """Return the class of each example (n,): whole numbers or texts.

    Raises:
        DataError: They are something else.
    """
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim != 1 or values.dtype.kind not in "iubU":
        raise DataError(
            f"{where}: `{name}` holds {values.dtype} of shape {values.shape}, not classes.",
            "Store one whole number or text an example.",
        )
    return values
