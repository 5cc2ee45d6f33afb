"""Two runs side by side: the agreement of each arm, and the difference over repeats."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from fragility.report.context import natural, ordered_metrics
from fragility.report.source import Row
from fragility.report.statistics import CORRELATIONS
from fragility.statistics.equivalence import (
    LEVEL,
    Equivalence,
    equivalence_of_estimate,
    equivalence_of_means,
)
from fragility.statistics.estimate import Array
from fragility.statistics.multiplicity import holm

Key = tuple[str, str, str, str]
"""Arm, estimator, procedure and metric, by which the rows of two runs belong together."""

INTERVAL = 0.025
"""Error at either end of the intervals that are shown."""

ROUNDING = 1e-12
"""Variation that is left of equal differences, relative to the values."""

AGREES, DIFFERS, CANNOT_TELL = "agrees", "differs", "cannot tell"


@dataclass(frozen=True)
class Difference:
    """One metric of one arm in two runs: means over repeats, and the second minus the first.

    `low` and `high` are a 95 % interval: Student's over repeats that share seed and number where
    `paired`, else Welch's. `corrected` is the two-sided p, corrected (Holm) over the rows of the
    metric. Numbers are None where `reason` says why.
    """

    arm: str
    estimator: str
    procedure: str
    metric: str
    first: float | None
    second: float | None
    repeats: tuple[int, int]
    paired: bool
    difference: float | None
    low: float | None
    high: float | None
    p: float | None
    corrected: float | None
    verdict: str
    reason: str


@dataclass(frozen=True)
class SideBySide:
    """What two runs have in common, and the arms that only one of them has."""

    rows: tuple[Difference, ...]
    only_first: tuple[tuple[str, str, str], ...]
    only_second: tuple[tuple[str, str, str], ...]


def side_by_side(first: Sequence[Row], second: Sequence[Row], margin: float) -> SideBySide:
    """Returns the differences of two runs, from their rows of `cli_queries.REPEATS`.

    A correlation agrees when two one-sided tests put the difference within `margin`; else anything
    differs when the corrected test rejects; else nobody can tell. Whether correlations agree is
    asked of each row by itself.
    """
    a, b = _by_key(first), _by_key(second)
    order = {metric: place for place, metric in enumerate(ordered_metrics(key[3] for key in a))}
    shared = sorted(
        a.keys() & b.keys(), key=lambda k: (*(natural(word) for word in k[:3]), order[k[3]])
    )
    found = [_difference(key, a[key], b[key], margin) for key in shared]
    return SideBySide(
        tuple(_corrected(found)), _only(a.keys() - b.keys(), b), _only(b.keys() - a.keys(), a)
    )


def _by_key(rows: Sequence[Row]) -> dict[Key, list[Row]]:
    found: dict[Key, list[Row]] = defaultdict(list)
    for row in rows:
        found[row["arm"], row["estimator"], row["procedure"], row["metric"]].append(row)
    return found


def _only(keys: set[Key], other: Mapping[Key, object]) -> tuple[tuple[str, str, str], ...]:
    known = {key[:3] for key in other}
    missing = {key[:3] for key in keys} - known
    return tuple(sorted(missing, key=lambda arm: [natural(word) for word in arm]))


def _difference(key: Key, first: list[Row], second: list[Row], margin: float) -> Difference:
    a, b = _values(first), _values(second)
    paired = a.keys() == b.keys()
    x, y = np.array([*a.values()]), np.array([b[k] for k in a] if paired else [*b.values()])
    compare = _paired if paired else equivalence_of_means
    decided, shown = (compare(y, x, margin, level) for level in (LEVEL, INTERVAL))
    identical = paired and x.size > 0 and bool(np.array_equal(x, y))
    agrees = identical or (_correlation(key[3]) and decided.answer == "equivalent")
    return Difference(
        *key,
        first=float(x.mean()) if x.size else None,
        second=float(y.mean()) if y.size else None,
        repeats=(x.size, y.size),
        paired=paired,
        difference=float(y.mean() - x.mean()) if x.size and y.size else None,
        low=shown.low,
        high=shown.high,
        p=shown.p_zero,
        corrected=None,
        verdict=AGREES if agrees else CANNOT_TELL,
        reason="the same in every repeat" if identical else shown.reason or "",
    )


def _values(rows: list[Row]) -> dict[tuple[int, int], float]:
    return {
        (row["seed"], row["repeat"]): row["value"]
        for row in rows
        if row["value"] is not None and math.isfinite(row["value"])
    }


def _correlation(metric: str) -> bool:
    return metric.strip("|") in CORRELATIONS


def _paired(y: Array, x: Array, margin: float, level: float) -> Equivalence:
    if x.size < 2:
        return _unknown(margin, f"{x.size} and {y.size} repeats; 2 of each are needed")
    differences = y - x
    error = float(differences.std(ddof=1)) / math.sqrt(x.size)
    if error <= ROUNDING * float(np.abs([x, y]).max()):
        return _unknown(margin, "the difference is the same in every repeat")
    mean = float(differences.mean())
    return equivalence_of_estimate(mean, error, x.size - 1, margin, level)


def _unknown(margin: float, reason: str) -> Equivalence:
    return Equivalence(None, None, None, None, None, margin, "cannot tell", reason)


def _corrected(found: list[Difference]) -> Iterator[Difference]:
    """Yields the rows with their corrected p, and what that decides."""
    families: dict[str, list[float]] = defaultdict(list)
    for one in found:
        if one.p is not None:
            families[one.metric].append(one.p)
    corrected = {metric: iter(holm(family)) for metric, family in families.items()}
    for one in found:
        p = None if one.p is None else float(next(corrected[one.metric]))
        differs = one.verdict != AGREES and p is not None and p <= LEVEL
        yield replace(one, corrected=p, verdict=DIFFERS if differs else one.verdict)
