"""Single examples: which test examples are shown, and who helps or harms each of them."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fragility.report.context import RETRAININGS, Combination, Context, spread
from fragility.report.source import Row, Rows
from fragility.report.statistics import t_half_width
from fragility.report.text import number
from fragility.store import example_queries as ask

FIGURES = 8
"""Test examples shown, over all arms."""

ARMS = 4
"""Arms whose test examples are shown."""


@dataclass(frozen=True)
class Look:
    """What an example looks like: a picture (PNG in base64), or columns, or nothing known."""

    label: str
    prediction: str
    source_row: int | None
    file: str
    columns: Mapping[str, float | int | str]
    picture: str


@dataclass(frozen=True)
class Tested:
    """A test example of an arm; `place` says which of the arm's it is by loss."""

    arm: str
    cell: str
    point: int
    loss: float | None
    look: Look
    place: str


@dataclass(frozen=True)
class Trained:
    """A training example beside a test example.

    `effect`: mean over `replicates` retrainings without it, with its interval where there are
    several; None where it was not retrained, or no retraining ended. `was` is the class it had
    before its label was replaced, `copy_of` the training example that it repeats.
    """

    point: int
    look: Look | None
    score: float | None
    effect: float | None
    low: float | None
    high: float | None
    replicates: int | None
    was: str
    copy_of: int | None


@dataclass(frozen=True)
class Ends:
    """The most helpful and the most harmful by one estimator; by effect where `by` is empty."""

    by: str
    helpful: Sequence[Trained]
    harmful: Sequence[Trained]


@dataclass(frozen=True)
class Shown:
    """A test example with what is shown beside it.

    `procedure` retrained without `removed` training examples, one by one; `placebo` is what it
    measures when nothing is removed. The scores beside its effects are those of `estimator`.
    """

    tested: Tested
    ends: Sequence[Ends]
    procedure: str
    estimator: str
    removed: int
    placebo: float | None
    rows: Rows


def gather(context: Context) -> list[Shown]:
    """Returns the test examples of up to `ARMS` arms, by loss from the highest to the lowest."""
    by_arm: dict[str, list[Row]] = defaultdict(list)
    for row in context.source.ask(ask.TESTS):
        by_arm[row["arm"]].append(row)
    arms = spread([arm for arm in context.arms if arm in by_arm], ARMS)
    chosen = [
        (row, _place(position, len(by_arm[arm])))
        for arm in arms
        for position, row in spread(list(enumerate(by_arm[arm])), max(2, FIGURES // len(arms)))
    ]
    if not chosen:
        return []
    cells = sorted({row["cell_id"] for row, _ in chosen})
    known = _Known(context.source.ask(ask.looks(cells)))
    return [_shown(context, known, row, place) for row, place in chosen]


class _Known:
    """What is known of the examples of some cells."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self.looks = {(row["cell_id"], row["split"], row["point"]): _look(row) for row in rows}
        self._classes = {(row["cell_id"], row["target"]): row["label"] for row in rows}

    def of(self, cell: str, split: str, point: int) -> Look | None:
        return self.looks.get((cell, split, point))

    def class_name(self, cell: str, position: int | None) -> str:
        """Returns the name of a class, its number where no example of it is shown."""
        if position is None:
            return ""
        return str(self._classes.get((cell, position), f"class {position}"))


def _look(row: Row) -> Look:
    numbers = row["target"] is None
    return Look(
        _said(row["label"], numbers),
        _said(row["prediction"], numbers),
        row["source_row"],
        row["file"] or "",
        json.loads(row["features"] or "{}"),
        row["picture"] or "",
    )


def _said(label: str | None, numbers: bool) -> str:
    """Returns a class as it is called, or numbers as all numbers of the page are written."""
    if not label or not numbers:
        return label or ""
    return ", ".join(number(float(part)) for part in label.split(", "))


def _place(position: int, total: int) -> str:
    if total == 1:
        return "the only one"
    ends = {0: "the highest loss", total - 1: "the lowest loss"}
    return f"{ends.get(position, f'place {position + 1} by loss')} of {total}"


def _shown(context: Context, known: _Known, chosen: Row, place: str) -> Shown:
    cell, point = chosen["cell_id"], chosen["point"]
    look = known.looks[cell, "test", point]
    tested = Tested(chosen["arm"], cell, point, chosen["loss"], look, place)
    procedure, removed = _procedure(context, tested)
    estimator = _estimator(context, tested, procedure)
    rows = context.source.fetch(ask.extremes(cell, point, procedure, estimator))
    placebo = None
    found: dict[str, dict[str, list[Trained]]] = defaultdict(lambda: defaultdict(list))
    for row in rows.dicts:
        if row["side"] == "placebo":
            placebo = row["effect"]
        else:
            found[row["estimator"] or ""][row["side"]].append(_trained(known, cell, row))
    order = sorted(found, key=lambda by: (by == "", by != estimator, by in context.nulls, by))
    ends = [Ends(by, found[by]["helpful"], found[by]["harmful"]) for by in order]
    return Shown(tested, ends, procedure, estimator, removed, placebo, rows)


def _estimator(context: Context, tested: Tested, procedure: str) -> str:
    """Returns the first estimator that is no null; of the procedure's parameters if there is one.

    Then the one of the highest agreement comes first.
    """
    found = [c for c in context.combinations if c.arm == tested.arm]
    ranked = {c: place for place, (c, _) in enumerate(context.ranked())}

    def rank(c: Combination) -> tuple[bool, bool, bool, int]:
        away, mismatch = c.procedure != procedure, bool(context.mismatch(c))
        return c.estimator in context.nulls, away, mismatch, ranked.get(c, len(ranked))

    return min(found, key=rank).estimator if found else ""


def _procedure(context: Context, tested: Tested) -> tuple[str, int]:
    """Returns the retraining that the scores are held against here, and how much it removed."""
    found = [
        row
        for row in context.source.ask(ask.REMOVED)
        if row["cell_id"] == tested.cell and row["test_point"] == tested.point
    ]
    if not found:
        return "", 0

    def rank(row: Row) -> tuple[bool, int, int]:
        targets = [t for c, t in context.targets.items() if _is(c, tested.arm, row["procedure"])]
        truth = str(targets[0]["truth"] if targets else "").split(", ")[-1]
        place = RETRAININGS.index(truth) if truth in RETRAININGS else -1
        return place >= 0, min(row["replicates"], 2), place

    best = max(found, key=rank)
    return best["procedure"], best["removed"]


def _is(combination: Combination, arm: str, procedure: str) -> bool:
    return (combination.arm, combination.procedure) == (arm, procedure)


def _trained(known: _Known, cell: str, row: Row) -> Trained:
    effect, deviation, n = row["effect"], row["deviation"], row["replicates"]
    ended = effect is not None and math.isfinite(effect)
    low = high = None
    if ended and n > 1 and deviation is not None and math.isfinite(deviation):
        half = t_half_width(deviation, n)
        low, high = effect - half, effect + half
    return Trained(
        row["train_point"],
        known.of(cell, "train", row["train_point"]),
        row["score"],
        effect if ended else None,
        low,
        high,
        n,
        known.class_name(cell, row["was"]),
        row["copy_of"],
    )
