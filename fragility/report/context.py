"""What all sections share: arms in reading order, their labels and colours, and the agreements."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from fragility.report.controls import Control, Controls, of_study, stored
from fragility.report.declared import nulls
from fragility.report.grids import Grids, load
from fragility.report.intervals import resampled
from fragility.report.palette import assign
from fragility.report.source import Row, Source
from fragility.report.statistics import t_half_width, within_bounds
from fragility.report.text import number
from fragility.store import report_queries as ask

RETRAININGS = ("warm", "warm over orders", "cold", "cold over seeds")
"""Truths that train again, the most general last."""


@dataclass(frozen=True)
class Combination:
    """A row of the agreement: an arm judged by one estimator and one procedure."""

    arm: str
    estimator: str
    procedure: str


@dataclass(frozen=True)
class Estimate:
    """A metric's median over test points, averaged over repeats, with its interval.

    `nested`: the interval is the nested bootstrap's, over repeats, test points and training points.
    Else it is the bootstrap's over test and training points when one repeat has a value, Student's
    over repeats when several have. `reason` says why there is no value.
    """

    value: float | None
    low: float | None
    high: float | None
    ceiling: float | None
    n: int | None
    n_test: int | None
    repeats: int
    defined: int
    reason: str | None
    chance: float | None = None
    nested: bool = False
    ceiling_low: float | None = None
    ceiling_high: float | None = None


class Context:
    """Facts that several sections read, each fetched once."""

    def __init__(self, source: Source) -> None:
        self.source = source

    @cached_property
    def cells(self) -> tuple[Row, ...]:
        """All cells of the run."""
        return self.source.ask(ask.CELLS)

    @cached_property
    def arms(self) -> list[str]:
        """Arm labels in natural order."""
        return sorted({cell["arm"] for cell in self.cells}, key=natural)

    @cached_property
    def repeats(self) -> int:
        """The largest number of repeats of an arm."""
        counts = [sum(cell["arm"] == arm for cell in self.cells) for arm in self.arms]
        return max(counts, default=0)

    @cached_property
    def targets(self) -> Mapping[Combination, Row]:
        """Every planned combination with the parameters of its score and its truth."""
        rows = self.source.ask(ask.TARGETS)
        return {_combination(row): row for row in rows}

    @cached_property
    def combinations(self) -> list[Combination]:
        """Every planned combination in natural order."""
        return sorted(
            self.targets, key=lambda c: (natural(c.arm), natural(c.estimator), natural(c.procedure))
        )

    @cached_property
    def grids(self) -> Grids:
        """All scores and effects as arrays."""
        return load(self.source)

    @cached_property
    def controls(self) -> Controls:
        """The shipped controls of the store."""
        return stored(self.source)

    @cached_property
    def own_controls(self) -> tuple[Control, ...]:
        """The controls that the run carries in its own rows."""
        return of_study(self)

    @cached_property
    def colours(self) -> Mapping[str, str]:
        """Estimator -> colour token, the same in the whole page."""
        return assign(combination.estimator for combination in self.combinations)

    def arm_label(self, arm: str) -> str:
        """Returns an arm's label; a study with one arm is labelled by its model."""
        models = {cell["model"] for cell in self.cells if cell["arm"] == arm}
        label = arm or " / ".join(sorted(models)) or "the model"
        for path, short in self._short_names.items():
            label = label.replace(f"{path}=", f"{short}=")
        return label

    @cached_property
    def _short_names(self) -> Mapping[str, str]:
        """Swept path -> its last word, where no other swept path ends in it."""
        paths = {path for cell in self.cells for path in json.loads(cell["factors"] or "{}")}
        last = {path: path.rpartition(".")[2] for path in sorted(paths, key=len, reverse=True)}
        return {path: word for path, word in last.items() if list(last.values()).count(word) == 1}

    def label(self, combination: Combination) -> str:
        """Returns the parts of a combination that vary in this study."""
        parts = [self.arm_label(combination.arm)]
        for part in ("estimator", "procedure"):
            if len({getattr(other, part) for other in self.combinations}) > 1:
                parts.append(getattr(combination, part))
        return " · ".join(parts)

    def procedure_label(self, arm: str, procedure: str) -> str:
        """Returns an arm's label, with the procedure when the study has several."""
        several = len({other.procedure for other in self.combinations}) > 1
        return f"{self.arm_label(arm)} · {procedure}" if several else self.arm_label(arm)

    def mismatch(self, combination: Combination) -> str:
        """Returns `target mismatch: ...`, or nothing where both cover the same parameters."""
        found = self.targets[combination]["mismatch"]
        return f"target mismatch: {found.removeprefix('target mismatch: ')}" if found else ""

    def mismatches(self) -> list[str]:
        """Returns one line for every estimator and procedure with a mismatch."""
        lines = {
            f"{c.estimator} · {c.procedure}: {self.mismatch(c)}."
            for c in self.combinations
            if self.mismatch(c)
        }
        return sorted(lines)

    @cached_property
    def estimates(self) -> Mapping[tuple[Combination, str], Estimate]:
        """Every measured (combination, metric)."""
        rows = self.source.ask(ask.AGREEMENT)
        return resampled(self, {(_combination(row), row["metric"]): _estimate(row) for row in rows})

    @cached_property
    def population(self) -> Mapping[tuple[Combination, str], Estimate]:
        """The same, estimated for all points from those drawn with unequal probabilities."""
        rows = self.source.ask(ask.POPULATION)
        return {(_combination(row), row["metric"]): _estimate(row) for row in rows}

    @cached_property
    def metrics(self) -> list[str]:
        """The metrics of the study, best known first."""
        return ordered_metrics(metric for _, metric in self.estimates)

    @cached_property
    def primary(self) -> str | None:
        """The metric that ranks arms: Pearson if measured, else the next of a fixed list."""
        return next((m for m in ask.PREFERRED_METRICS if m in self.metrics), None)

    def named(self, metric: str) -> str:
        """Returns the metric's name; an absolute metric never goes without what chance gives."""
        found = [e.chance for (_, m), e in self.estimates.items() if m == metric and e.chance]
        if not absolute(metric) or not found:
            return metric_name(metric)
        ends = dict.fromkeys(number(end) for end in (min(found), max(found)))
        return f"{metric_name(metric)} (chance {' to '.join(ends)})"

    @cached_property
    def nulls(self) -> frozenset[str]:
        """The estimators that know nothing of the trained model, by design."""
        return nulls(self.source.run)

    @cached_property
    def retrained(self) -> list[Combination]:
        """The combinations that hold a score, no null, against retraining; all where none does."""
        found = [
            c
            for c in self.combinations
            if c.estimator not in self.nulls
            and str(self.targets[c]["truth"]).split(", ")[-1] in RETRAININGS
        ]
        return found or self.combinations

    def ranked(self) -> list[tuple[Combination, Estimate]]:
        """Returns the combinations that have a value of the primary metric, best first."""
        found = [
            (combination, self.estimates[combination, self.primary])
            for combination in self.combinations
            if self.primary and (combination, self.primary) in self.estimates
        ]
        valued = [item for item in found if item[1].value is not None]
        return sorted(valued, key=lambda item: -(item[1].value or 0.0))


METRIC_NAMES = {
    "pearson": "Pearson",
    "spearman": "Spearman",
    "kendall": "Kendall τ",
    "slope": "slope",
    "intercept": "intercept",
    "r2_identity": "R² against identity",
    "sign_agreement": "sign agreement",
    "within_sign": "Spearman within sign",
    "theil_sen": "Theil–Sen slope",
    "theil_sen_intercept": "Theil–Sen intercept",
    "relative_error": "relative error",
    "top_k_precision": "top-k precision",
}


def metric_name(metric: str) -> str:
    """Returns the metric as readers know it."""
    if absolute(metric):
        return f"|{metric_name(metric.strip('|'))}|"
    return METRIC_NAMES.get(metric, metric)


def absolute(metric: str) -> bool:
    """Whether a metric's label says that its sign was dropped."""
    return metric.startswith("|")


def ordered_metrics(metrics: Iterable[str]) -> list[str]:
    """Returns the distinct metrics, known ones first and in the usual order."""
    known = list(METRIC_NAMES)

    def place(metric: str) -> tuple[int, bool, str]:
        signed = metric.strip("|")
        return known.index(signed) if signed in known else 99, absolute(metric), metric

    return sorted(set(metrics), key=place)


def natural(text: str | None) -> list[tuple[int, float, str]]:
    """Returns a sort key that puts `depth=2` before `depth=10`."""
    parts = re.split(r"(\d+(?:\.\d+)?)", text or "")
    return [(0, float(part), "") if i % 2 else (1, 0.0, part) for i, part in enumerate(parts)]


def spread(items: Sequence[Any], most: int) -> list[Any]:
    """Returns at most `most` items, evenly spaced and with both ends."""
    if len(items) <= most:
        return list(items)
    last = len(items) - 1
    return [items[round(i * last / (most - 1))] for i in range(most)]


def _combination(row: Row) -> Combination:
    return Combination(row["arm"], row["estimator"], row["procedure"])


def _estimate(row: Row) -> Estimate:
    low, high = row["ci_low"], row["ci_high"]
    if row["defined"] > 1:
        half = t_half_width(row["deviation"] or 0.0, row["defined"])
        low, high = within_bounds(row["metric"], row["value"] - half, row["value"] + half)
    return Estimate(
        row["value"],
        low,
        high,
        row["ceiling"],
        row["n"],
        row["n_test"],
        row["repeats"],
        row["defined"],
        row["reason"],
        row["chance"],
    )
