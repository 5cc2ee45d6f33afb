"""What a factor changes on average over the settings of everything else, within repeats."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from fragility.report.source import Row
from fragility.report.statistics import Mean, mean_interval
from fragility.report.text import estimate, plural


@dataclass(frozen=True)
class MainEffect:
    """One row of the table: the change of a quantity, and what it is an average over."""

    quantity: str
    change: str
    over: str


def main_effect(
    quantity: str, groups: Mapping[str, Sequence[Row]], first: str, last: str
) -> MainEffect | None:
    """Returns the change from the first to the last value of a factor; None with one setting.

    `groups` are the rows of each setting of everything else. Every setting that was measured at
    both values counts the same, in the repeats that have all of these settings; the interval is
    Student's over the repeats, whose base models the settings share.
    """
    found = _average(groups, first, last)
    if found is None:
        return None
    settings, mean = found
    return MainEffect(
        quantity,
        estimate("", mean.value, mean.low, mean.high),
        f"{plural(settings, 'setting')}, {plural(mean.n, 'repeat')}",
    )


def _average(groups: Mapping[str, Sequence[Row]], first: str, last: str) -> tuple[int, Mean] | None:
    tables = [table for rows in groups.values() if (table := _changes(rows, first, last))]
    if len(tables) < 2:
        return None
    repeats = set.intersection(*(set(table) for table in tables))
    if not repeats:
        return None
    means = [fmean(table[repeat] for table in tables) for repeat in sorted(repeats)]
    return len(tables), mean_interval(means)


def _changes(rows: Sequence[Row], first: str, last: str) -> dict[int, float]:
    """Returns the change in each repeat that has both values."""
    ends: dict[str, dict[int, float]] = {first: {}, last: {}}
    for row in rows:
        if row["factor_value"] in ends:
            ends[row["factor_value"]][row["repeat"]] = row["value"]
    both = ends[first].keys() & ends[last].keys()
    return {repeat: ends[last][repeat] - ends[first][repeat] for repeat in both}
