"""Series over a swept factor: one for every setting of everything else."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from fragility.report.context import Context, natural
from fragility.report.figures.distributions import Line
from fragility.report.palette import MARKERS, SERIES
from fragility.report.source import Row

_PARTS = ("dataset", "model", "regularization", "training")


def swept(context: Context) -> Mapping[str, list[str]]:
    """Returns every factor that takes several values, with its values in natural order."""
    found: dict[str, set[str]] = defaultdict(set)
    for cell in context.cells:
        for name, value in json.loads(cell["factors"] or "{}").items():
            found[name].add(as_text(value))
    return {
        name: sorted(values, key=natural)
        for name, values in sorted(found.items())
        if len(values) > 1
    }


class Settings:
    """The settings apart from one factor and the repeat, in natural order.

    A setting keeps its colour and its marker in every panel; its label names what varies.
    """

    def __init__(self, context: Context, factor: str) -> None:
        self._factor = factor
        keys = {self._key(cell) for cell in context.cells}
        varying = [i for i in range(len(_PARTS) + 1) if len({key[i] for key in keys}) > 1]
        label = {key: " · ".join(key[i] for i in varying if key[i]) or "all cells" for key in keys}
        self._label = {key: label[key] for key in sorted(keys, key=lambda key: natural(label[key]))}

    def _key(self, row: Row) -> tuple[str, ...]:
        swept = json.loads(row["factors"] or "{}")
        others = [
            f"{name.split('.')[-1]}={as_text(value)}"
            for name, value in sorted(swept.items())
            if name != self._factor
        ]
        return (*(str(row[part] or "") for part in _PARTS), ", ".join(others))

    def grouped(self, rows: Sequence[Row]) -> dict[str, list[Row]]:
        """Returns the rows of each setting that have a finite value at a value of the factor."""
        found: dict[tuple[str, ...], list[Row]] = defaultdict(list)
        for row in rows:
            if row["factor_value"] is not None and np.isfinite(row["value"]):
                found[self._key(row)].append(row)
        return {label: found[key] for key, label in self._label.items() if key in found}

    def lines(self, rows: Sequence[Row]) -> list[Line]:
        """Returns one line a setting with the finite values of the rows."""
        found = self.grouped(rows)
        return [
            Line(label, SERIES[i % len(SERIES)], MARKERS[i % len(MARKERS)], by_level(found[label]))
            for i, label in enumerate(self._label.values())
            if label in found
        ]


def by_level(rows: Sequence[Row]) -> dict[str, list[float]]:
    """Returns the values at each value of the factor."""
    values: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        values[row["factor_value"]].append(row["value"])
    return values


def as_text(value: object) -> str:
    """Returns a factor's value as DuckDB's `->>` gives it."""
    return value if isinstance(value, str) else json.dumps(value)
