"""Studies of a publication without published numbers: agreement of every pair, as it is."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fragility.references.declared import as_text
from fragility.report.context import natural
from fragility.report.declared import declared
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
    """The arms of lowest and highest median Spearman of an estimator and procedure.

    `mismatches` are those of all its arms, each once.
    """

    pair: Pair
    mismatches: tuple[str | None, ...]
    lowest: Agreement
    highest: Agreement


@dataclass(frozen=True)
class Effect:
    """What a level of a swept choice changes beside the first, all else being the same.

    `change` is the median over repeats of the mean difference of Spearman's correlation over the
    other settings; `repeats` counts those that have all of them.
    """

    first: str
    level: str
    pair: Pair
    repeats: int
    change: Estimate


def effects(study: Study) -> list[Effect]:
    """Returns a row for each swept choice, level but the first, estimator and procedure.

    Choices that the study sweeps together are one. Empty where a study sweeps fewer than two.
    """
    swept = choices(study)
    if len(swept) < 2:
        return []
    facts = {row["arm"]: json.loads(row["factors"] or "{}") for row in study.cells}
    table: dict[Pair, dict[int, dict[tuple[str, ...], float]]] = defaultdict(
        lambda: defaultdict(dict)
    )
    for row in study.correlations:
        place = tuple(level(facts[row["arm"]], levels) for levels in swept)
        if row["metric"] == "spearman" and row["value"] is not None and None not in place:
            pair = (row["estimator"], row["procedure"])
            table[pair][row["repeat"]][place] = row["value"]  # type: ignore[index]
    return [
        effect
        for index, levels in enumerate(swept)
        for pair, repeats in sorted(table.items())
        for effect in _effects(study, index, list(levels), pair, repeats)
    ]


def clearest(found: Sequence[Effect]) -> Effect | None:
    """Returns the largest change whose interval lies on one side of 0."""
    clear = [
        one
        for one in found
        if one.change.low is not None and one.change.high is not None
        and not one.change.low <= 0 <= one.change.high
    ]  # fmt: skip
    return max(clear, key=lambda one: abs(one.change.value or 0.0), default=None)


def _effects(
    study: Study,
    index: int,
    levels: Sequence[str],
    pair: Pair,
    repeats: Mapping[int, Mapping[tuple[str, ...], float]],
) -> list[Effect]:
    whole = max(len(values) for values in repeats.values())
    complete = [values for values in repeats.values() if len(values) == whole]
    found = []
    for level in levels[1:]:
        changes = np.array([
            np.mean([v for k, v in values.items() if k[index] == level])
            - np.mean([v for k, v in values.items() if k[index] == levels[0]])
            for values in complete
        ])  # fmt: skip
        if changes.size and np.isfinite(changes).all():
            change = median(changes, study.name, level, *pair)
            found.append(Effect(levels[0], level, pair, changes.size, change))
    return found


def choices(study: Study) -> list[dict[str, Mapping[str, object]]]:
    """Returns the swept choices, each the words of its levels with the paths that it sets."""
    sweep = declared(study.run, "sweep") or []
    found = []
    for entry in sweep if isinstance(sweep, list) else [sweep]:
        levels: dict[str, Mapping[str, object]] = {}
        for values in zip(*entry.values(), strict=False):
            told = [
                f"{path.rpartition('.')[2]} = {as_text(v)}"
                for path, v in zip(entry, values, strict=True)
            ]
            levels[", ".join(told)] = dict(zip(entry, values, strict=True))
        found.append(levels)
    return found


def level(facts: Mapping[str, object], levels: Mapping[str, Mapping[str, object]]) -> str | None:
    """Returns the words of a cell's level of a choice, None where it has none of them."""
    for words, paths in levels.items():
        if all(facts.get(path) == value for path, value in paths.items()):
            return words
    return None


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
        Range(
            pair,
            tuple(dict.fromkeys(one.mismatch for one in members)),
            min(members, key=_value),
            max(members, key=_value),
        )
        for pair, members in by_pair.items()
    ]


def _value(one: Agreement) -> float:
    return one.spearman.value or 0.0


def _array(values: Sequence[float]) -> Array:
    known = np.array(values, dtype=np.float64)
    return known[np.isfinite(known)]
