"""Axes that carry one power of ten in their label instead of long tick labels."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
from matplotlib.axis import Axis
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

from fragility.report.text import THIN, number, superscript


def exponent(values: Iterable[ArrayLike]) -> int:
    """Returns the multiple of three that brings the largest magnitude into [1, 1000)."""
    size = max((float(np.abs(v).max()) for v in map(np.asarray, values) if v.size), default=0.0)
    if size == 0 or not math.isfinite(size) or 0.01 <= size < 1e4:
        return 0
    return 3 * math.floor(math.log10(size) / 3)


def unit(power: int) -> str:
    """Returns ` (10⁻³)`, or nothing for the power zero."""
    return f" (10{superscript(power)})" if power else ""


def limits(values: Iterable[ArrayLike], pad: float = 0.06) -> tuple[float, float]:
    """Returns the range of the values with a margin, never empty."""
    arrays = [array for array in map(np.asarray, values) if array.size]
    low = min((float(array.min()) for array in arrays), default=0.0)
    high = max((float(array.max()) for array in arrays), default=1.0)
    margin = pad * (high - low) or 0.05 * abs(high) or 1.0
    return low - margin, high + margin


def ticks(axis: Axis, power: int = 0, most: int = 5) -> None:
    """Puts a few ticks on an axis, labelled in units of ten to `power`."""
    axis.set_major_locator(MaxNLocator(most, min_n_ticks=3, steps=[1, 2, 2.5, 5, 10]))
    axis.set_major_formatter(lambda x, _: short(x / 10.0**power))


def power(value: float) -> str:
    """Returns the label of a tick on a logarithmic axis, `10⁻⁶` where digits would be many."""
    exponent = round(math.log10(value))
    small = -4 < exponent < 5
    return short(value) if small else number(value).removeprefix(f"1.00{THIN}×{THIN}")


def short(value: float) -> str:
    """Returns a tick label: as few digits as tell neighbouring ticks apart."""
    value = 0.0 if abs(value) < 1e-12 else value
    size = abs(value)
    if size and (size < 1e-3 or size >= 1e5):
        return number(value)
    return f"{value:.6g}".replace("-", "−")
