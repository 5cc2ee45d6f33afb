"""Studies of a publication without published numbers: agreement of every pair, as it is."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fragility.report.context import natural
from fragility.report.reproduction.families import Study, median
from fragility.statistics.estimate import Array, Estimate

Pair = tuple[str, str]
"""An estimator and a procedure."""


@dataclass(frozen=True)
class Agreement:
    """Medians over the repeats of an arm, with their signs, of one estimator and procedure.

    `mismatch` says how the score's target differs from the truth's, None where it does not.
    """

    arm: str
    pair: Pair
    repeats: int
    spearman: Estimate
    pearson: Estimate
    mismatch: str | None


@dataclass(frozen=True)
class Range:
    """The arms of lowest and highest median Spearman of an estimator and procedure."""

    pair: Pair
    lowest: Agreement
    highest: Agreement


def agreements(study: Study) -> list[Agreement]:
    """Returns a row for each arm, estimator and procedure that was measured."""
    values: dict[tuple[str, Pair], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for row in study.correlations:
        if row["value"] is not None:
            key = (row["arm"], (row["estimator"], row["procedure"]))
            values[key][row["metric"]].append(row["value"])
    mismatches = {
        (row["arm"], (row["estimator"], row["procedure"])): row["mismatch"] for row in study.targets
    }
    found = []
    for (arm, pair), by_metric in values.items():
        spearman, pearson = (_array(by_metric[name]) for name in ("spearman", "pearson"))
        if spearman.size and pearson.size:
            names = (study.name, arm, *pair)
            found.append(
                Agreement(
                    arm, pair, spearman.size, median(spearman, *names, "spearman"),
                    median(pearson, *names, "pearson"), mismatches.get((arm, pair)),
                )
            )  # fmt: skip
    return sorted(found, key=lambda one: (one.pair, natural(one.arm)))


def ranges(found: Sequence[Agreement]) -> list[Range]:
    """Returns where the agreement of each estimator and procedure is lowest and highest."""
    by_pair: dict[Pair, list[Agreement]] = defaultdict(list)
    for one in found:
        by_pair[one.pair].append(one)
    return [
        Range(pair, min(members, key=_value), max(members, key=_value))
        for pair, members in by_pair.items()
    ]


def _value(one: Agreement) -> float:
    return one.spearman.value or 0.0


def _array(values: Sequence[float]) -> Array:
    known = np.array(values, dtype=np.float64)
    return known[np.isfinite(known)]
