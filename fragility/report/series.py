"""Series over a swept factor: one for every setting of everything else, and their contrasts."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fragility.report.context import Context, natural
from fragility.report.figures.distributions import Line
from fragility.report.palette import MARKERS, SERIES
from fragility.report.source import Row
from fragility.report.statistics import Values, anova, mean_interval, trend
from fragility.report.text import estimate, number, p_value

_PARTS = ("dataset", "model", "regularization", "training")


@dataclass(frozen=True)
class Contrast:
    """One series of one quantity over the levels: first and last mean, trend and ANOVA."""

    quantity: str
    series: str
    first: str
    last: str
    trend: str
    anova: str


def swept(context: Context) -> Mapping[str, list[str]]:
    """Returns every factor that takes several values, with its values in natural order."""
    found: dict[str, set[str]] = defaultdict(set)
    for cell in context.cells:
        for name, value in json.loads(cell["factors"] or "{}").items():
            found[name].add(_text(value))
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
            f"{name.split('.')[-1]}={_text(value)}"
            for name, value in sorted(swept.items())
            if name != self._factor
        ]
        return (*(str(row[part] or "") for part in _PARTS), ", ".join(others))

    def lines(self, rows: Sequence[Row]) -> list[Line]:
        """Returns one line a setting with the finite values of the rows."""
        values: dict[tuple[str, ...], dict[str, list[float]]] = defaultdict(
            lambda: defaultdict(list)
        )
        for row in rows:
            if row["factor_value"] is not None and np.isfinite(row["value"]):
                values[self._key(row)][row["factor_value"]].append(row["value"])
        return [
            Line(label, SERIES[i % len(SERIES)], MARKERS[i % len(MARKERS)], values[key])
            for i, (key, label) in enumerate(self._label.items())
            if key in values
        ]


def contrast(quantity: str, metric: str, line: Line, levels: Sequence[str]) -> Contrast:
    """Returns the means at both ends, Spearman's trend over the levels, and one-way ANOVA."""
    present = [level for level in levels if line.values.get(level)]
    groups = [np.asarray(line.values[level], dtype=np.float64) for level in present]
    places = [
        np.full(group.size, float(levels.index(level)))
        for level, group in zip(present, groups, strict=True)
    ]
    found = anova(groups)
    return Contrast(
        quantity,
        line.label,
        _mean(metric, present[0], groups[0]),
        _mean(metric, present[-1], groups[-1]),
        number(trend(np.concatenate(places), np.concatenate(groups))),
        f"F = {number(found[0])}, {p_value(found[1])}" if found else "needs repeats",
    )


def _mean(metric: str, level: str, values: Values) -> str:
    mean = mean_interval(values, metric)
    return f"{estimate(metric, mean.value, mean.low, mean.high)} at {level}"


def _text(value: object) -> str:
    """A factor's value as DuckDB's `->>` gives it."""
    return value if isinstance(value, str) else json.dumps(value)
