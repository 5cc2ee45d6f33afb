"""Scores beside effects: which test points stand for an arm, and their pairs."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fragility.report.context import Combination, Context, spread
from fragility.report.source import Row, Rows
from fragility.report.text import metric_value, number
from fragility.store import report_queries as ask

ARMS = 6
MARKS = 15_000
MARKS_A_PANEL = 5_000
Values = NDArray[np.float64]


@dataclass(frozen=True)
class Choice:
    """One test point that stands for an arm; `place` is worst, median, best or only."""

    combination: Combination
    cell: str
    repeat: int
    test_point: int
    value: float | None
    place: str
    candidates: int

    @property
    def key(self) -> tuple[str, str, str, int]:
        """Cell, estimator, procedure and test point."""
        return self.cell, self.combination.estimator, self.combination.procedure, self.test_point


@dataclass(frozen=True)
class Pairs:
    """The finite pairs of one choice, in descending order of effect.

    `rank` counts from 1; `removed` says what each removes; `low` and `high` are the extremes over
    replicates; `placebo` is the mean effect of removing nothing; `not_finite` counts the pairs left
    out because their score or effect is not a number.
    """

    choice: Choice
    rank: NDArray[np.int64]
    removed: tuple[str, ...]
    score: Values
    effect: Values
    low: Values
    high: Values
    replicates: int
    placebo: float | None
    not_finite: int

    def thinned(self, most: int) -> Pairs:
        """Returns at most `most` pairs, evenly spaced by rank of effect, both ends kept."""
        if self.score.size <= most:
            return self
        keep = np.unique(np.linspace(0, self.score.size - 1, most).round().astype(int))
        return Pairs(
            self.choice,
            self.rank[keep],
            tuple(self.removed[i] for i in keep),
            self.score[keep],
            self.effect[keep],
            self.low[keep],
            self.high[keep],
            self.replicates,
            self.placebo,
            self.not_finite,
        )

    def hover(self) -> list[str]:
        """Returns one line a pair: which example, its score, its effect."""
        return [
            f"{removed}: score {number(score)}, effect {number(effect)}"
            for removed, score, effect in zip(self.removed, self.score, self.effect, strict=True)
        ]


def shown_arms(context: Context) -> list[Combination]:
    """Returns the combinations drawn one by one: all, or evenly spaced from best to worst."""
    ranked = [combination for combination, _ in context.ranked()]
    rest = [combination for combination in context.combinations if combination not in ranked]
    chosen = set(spread(ranked + rest, ARMS))
    return [combination for combination in context.combinations if combination in chosen]


def choose(context: Context) -> list[Choice]:
    """Returns worst, median and best test point of every shown combination."""
    rows = context.source.ask(ask.representatives(context.primary or "pearson"))
    shown = shown_arms(context)
    choices: dict[Combination, dict[tuple[str, int], Choice]] = defaultdict(dict)
    for row in sorted(rows, key=lambda row: _order(row)):
        combination = Combination(row["arm"], row["estimator"], row["procedure"])
        if combination in shown:
            choice = Choice(
                combination, row["cell_id"], row["repeat"], row["test_point"], row["value"],
                _place(row), row["candidates"],
            )  # fmt: skip
            choices[combination].setdefault((choice.cell, choice.test_point), choice)
    order = {"worst": 0, "median": 1, "best": 2, "only": 0}
    return [
        choice
        for combination in shown
        for choice in sorted(choices[combination].values(), key=lambda c: order[c.place])
    ]


def _order(row: Row) -> int:
    return 0 if _place(row) == "median" else 1


def _place(row: Row) -> str:
    if row["candidates"] == 1:
        return "only"
    if row["position"] == (row["candidates"] + 1) // 2:
        return "median"
    return "worst" if row["position"] == 1 else "best"


def load(context: Context, choices: Sequence[Choice]) -> tuple[list[Pairs], Rows]:
    """Returns the pairs of the choices and the rows they come from."""
    rows = context.source.fetch(ask.pairs([choice.key for choice in choices]))
    groups: dict[tuple[str, str, str, int], list[Row]] = defaultdict(list)
    for row in rows.dicts:
        key = (row["cell_id"], row["estimator"], row["procedure"], row["test_point"])
        groups[key].append(row)
    return [_pairs(choice, groups[choice.key]) for choice in choices if groups[choice.key]], rows


def _pairs(choice: Choice, rows: Sequence[Row]) -> Pairs:
    points = [row for row in rows if row["removal"] != "placebo" and row["score"] is not None]
    good = [row for row in points if _finite(row["score"]) and _finite(row["effect"])]
    placebo = [row["effect"] for row in rows if row["removal"] == "placebo"]
    return Pairs(
        choice,
        np.arange(1, len(good) + 1),
        tuple(_removed(row) for row in good),
        _column(good, "score"),
        _column(good, "effect"),
        _column(good, "lowest"),
        _column(good, "highest"),
        max((row["replicates"] for row in good), default=1),
        placebo[0] if placebo and _finite(placebo[0]) else None,
        len(points) - len(good),
    )


def _removed(row: Row) -> str:
    if row["removal"] == "group":
        return f"group {row['group_id']} of {row['members']} training points"
    source = "" if row["source_row"] is None else f" (row {row['source_row']} of the source)"
    return f"training point {row['train_point']}{source}"


def _column(rows: Sequence[Row], name: str) -> Values:
    return np.array([row[name] for row in rows], dtype=np.float64)


def _finite(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def title(context: Context, choice: Choice) -> str:
    """Returns the words above a panel: the arm and which of its test points this is."""
    return f"{context.label(choice.combination)}: {where(context, choice)}"


def where(context: Context, choice: Choice) -> str:
    """Returns which test point a choice is, with its repeat when there are several."""
    repeat = f", repeat {choice.repeat}" if context.repeats > 1 else ""
    place = f"{choice.place} of {choice.candidates}, " if choice.place != "only" else ""
    return f"{place}test point {choice.test_point}{repeat}"


def value_words(context: Context, choice: Choice) -> str:
    """Returns the primary metric's name and value for a choice."""
    metric = context.primary or "pearson"
    return f"{context.named(metric)} {metric_value(metric, choice.value)}"
