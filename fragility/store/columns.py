"""Facts as columns: a missing number is NaN, a missing text None; files hold codes for text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Columns = Mapping[str, NDArray[Any]]


def is_text(column: NDArray[Any]) -> bool:
    """Returns whether a column holds text (str or None) rather than numbers."""
    return column.dtype == object


def normalize(values: NDArray[Any] | Sequence[Any]) -> NDArray[Any]:
    """Returns a column in one of its two forms: a numeric array, or an object array of str | None.

    A list of numbers with None among them becomes float64 with NaN.

    Raises:
        TypeError: the values are neither all numbers nor all text.
    """
    column = values if isinstance(values, np.ndarray) else np.array(values, dtype=object)
    if column.dtype.kind in "biuf":
        return np.asarray(column, order="C")
    items = column.astype(object)
    known = [item for item in items if item is not None]
    if all(isinstance(item, str) for item in known):
        return items
    if all(isinstance(item, (bool, np.bool_)) for item in known) and len(known) == len(items):
        return items.astype(bool)
    if all(isinstance(item, (bool, int, float, np.number, np.bool_)) for item in known):
        whole = len(known) == len(items) and not any(
            isinstance(k, (float, np.floating)) for k in known
        )
        return items.astype(np.int64) if whole else items.astype(np.float64)
    raise TypeError(f"a column holds numbers or text, not {column.dtype} of mixed types")


def storable(text: str) -> str:
    """Returns `text` in a form that has UTF-8: a lone surrogate becomes a question mark."""
    return text.encode("utf-8", "replace").decode()


def encode_text(column: NDArray[Any]) -> tuple[NDArray[np.int32], list[str]]:
    """Returns codes into a vocabulary in order of first appearance; -1 stands for None."""
    vocabulary: dict[str, int] = {}
    codes = [
        -1 if text is None else vocabulary.setdefault(text, len(vocabulary)) for text in column
    ]
    return np.array(codes, dtype=np.int32), [storable(word) for word in vocabulary]


def decode_text(codes: NDArray[np.int32], vocabulary: Sequence[str]) -> NDArray[Any]:
    """Returns the text that `encode_text` encoded."""
    words = np.array([*vocabulary, None], dtype=object)
    return words[codes]
