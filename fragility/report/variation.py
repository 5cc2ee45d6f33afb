"""Where the variation of agreement comes from: the numbers shared out, and the choices behind them.

Each number belongs to one choice of a validation procedure, one of an estimator, one of a model and
its data, and to one repeat. What the study sweeps is a choice of the part whose field it is.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from fragility.identity import derive_seed
from fragility.protocols import DIMENSIONS, Stored, of_repeats
from fragility.report.context import Combination, Context
from fragility.report.source import Row
from fragility.report.text import listing, plural
from fragility.statistics.decomposition import Decomposition, decompose
from fragility.statistics.fisher_z import fisher_z
from fragility.store.variation_queries import VARIATION

PROCEDURE, ESTIMATOR, MODEL = "validation procedure", "estimator", "model and data"
GROUPS = (PROCEDURE, ESTIMATOR, MODEL)
_GROUP_OF = {"procedures": PROCEDURE, "estimators": ESTIMATOR}
_PARTS = ("dataset", "model", "regularization", "training")

FEWEST_REPEATS = 5
"""Fewer repeats can be drawn again in too few ways: the ends of an interval would be extremes."""

DRAWS = 2000
"""With five repeats the ends of an interval are the second draws from either end of so many."""

MOST_VALUES = 20_000
"""Each is in every draw: more would take a page more than some seconds."""

Stores = Mapping[tuple[str, str], Mapping[str, Mapping[str, Stored]]]
"""By arm and estimator, by procedure, and by cell, what specifications are made of."""

Choices = Mapping[str, Mapping[str, str]]
"""For each group, its factors and what was chosen of each."""


@dataclass(frozen=True)
class Value:
    """One number with the choices behind it."""

    value: float
    choices: Choices
    repeat: int


@dataclass(frozen=True)
class Shared:
    """Whose choices the variation of numbers belongs to, or why that is withheld.

    `levels` counts the choices of each group that occur; `decomposition` has the groups in which
    several do, and is None exactly when `reason` says why.
    """

    decomposition: Decomposition | None
    values: int
    repeats: int
    levels: Mapping[str, int]
    reason: str | None

    @property
    def single(self) -> list[str]:
        """The groups in which nothing was varied."""
        return [group for group, count in self.levels.items() if count == 1]


def comparable(context: Context) -> frozenset[Combination]:
    """Returns the comparisons that count: of estimators and procedures that all match in all arms.

    A truth moves what the score covers, and every score is held against every truth: otherwise
    what an estimator does could not be told from what its procedures do. The estimator or the
    procedure with the most mismatches is left out first. Nulls do not count: whoever adds one would
    make the estimator's share as large as he likes. All count where nothing would be left.
    """
    left = frozenset(c for c in context.combinations if c.estimator not in context.nulls)
    while bad := [c for c in left if context.mismatch(c)]:
        pairs = {(c.estimator, c.procedure) for c in bad}
        count = Counter(("estimator", one) for one, _ in pairs)
        count += Counter(("procedure", other) for _, other in pairs)
        part, label = max(sorted(count), key=lambda key: count[key])
        left = frozenset(c for c in left if getattr(c, part) != label)
    return left or frozenset(context.combinations)


def left_out(context: Context) -> list[str]:
    """Returns the estimators and procedures of which no comparison counts."""
    known = comparable(context)
    return [
        label
        for part in ("procedure", "estimator")
        for label in dict.fromkeys(getattr(c, part) for c in context.combinations)
        if label not in {getattr(c, part) for c in known}
    ]


def choices(row: Row, procedure: Mapping[str, str]) -> Choices:
    """Returns the choices behind a cell's number; `procedure` are those of its making."""
    found: dict[str, dict[str, str]] = {
        PROCEDURE: dict(procedure),
        ESTIMATOR: {"estimator": str(row["estimator"])},
        MODEL: {part: str(row[part] or "") for part in _PARTS},
    }
    for path, value in json.loads(row["factors"] or "{}").items():
        found[_GROUP_OF.get(path.partition(".")[0], MODEL)][path] = json.dumps(value)
    return found


def share(values: Sequence[Value], asked: int, seed: int) -> Shared:
    """Returns whose choices the variation of `values` belongs to, or why that cannot be said.

    `asked` numbers were looked for; those missing are not defined. Nothing is given without an
    interval: a share alone does not say how little it is known.
    """
    repeats = len({one.repeat for one in values})
    levels = {group: len({tuple(one.choices[group].items()) for one in values}) for group in GROUPS}
    varied = [group for group in GROUPS if levels[group] > 1]

    def withheld(reason: str) -> Shared:
        return Shared(None, len(values), repeats, levels, reason)

    if not values:
        return withheld("no number is defined")
    if len(values) > MOST_VALUES:
        return withheld(f"more than {MOST_VALUES} numbers are more than a page waits for")
    reasons = [reason for reason in (too_few(repeats), _nothing_beside(varied)) if reason]
    if reasons:
        return withheld("; and ".join(reasons))
    found = decompose(
        [one.value for one in values],
        {group: _factors(values, group) for group in varied},
        [one.repeat for one in values],
        seed=seed,
        draws=DRAWS,
    )
    if found.reason is not None:
        missing = asked - len(values)
        undefined = f" ({missing} of {plural(asked, 'number')} not defined)" if missing else ""
        return withheld(f"{found.reason}{undefined}")
    if found.residual is not None and found.residual.reason:
        return withheld(found.residual.reason)
    return Shared(found, len(values), repeats, levels, None)


def too_few(repeats: int) -> str | None:
    """Returns why so many repeats do not support a decomposition, None where they do."""
    if repeats == 1:
        return (
            "with one repeat, what choices change cannot be told from what another repeat would"
            f" have changed (`repeats: {FEWEST_REPEATS}` is enough)"
        )
    if repeats < FEWEST_REPEATS:
        return (
            f"{repeats} repeats are too few for an interval, and a share is not given without one"
            f" (`repeats: {FEWEST_REPEATS}` is enough)"
        )
    return None


def _nothing_beside(varied: Sequence[str]) -> str | None:
    if len(varied) > 1:
        return None
    single = listing([f"one {group}" for group in GROUPS if group not in varied])
    return (
        f"there is {single}, and nothing to set {varied[0]} against"
        if varied
        else (f"there is {single}")
    )


def _factors(values: Sequence[Value], group: str) -> dict[str, list[str]]:
    names = dict.fromkeys(name for one in values for name in one.choices[group])
    return {name: [one.choices[group].get(name, "") for one in values] for name in names}


def of_arms(context: Context, metric: str, *, fisher: bool = False) -> Shared:
    """Returns the shares of a correlation over the stored arms: one number a cell and comparison.

    With `fisher`, of its z.
    """
    known = comparable(context)
    asked = [
        row
        for row in context.source.ask(VARIATION)
        if row["metric"] == metric
        and Combination(row["arm"], row["estimator"], row["procedure"]) in known
    ]
    values = [
        Value(
            float(fisher_z(np.array(row["value"]))) if fisher else row["value"],
            choices(row, {"procedure": row["procedure"]}),
            row["repeat"],
        )
        for row in asked
        if row["value"] is not None and np.isfinite(row["value"])
    ]
    return share(values, len(asked), derive_seed(0, f"variation of {metric}"))


def of_specifications(context: Context, stored: Stores) -> Shared:
    """Returns the shares over all specifications of all arms, each evaluated in every repeat."""
    known = comparable(context)
    cells = {str(row["cell_id"]): row for row in context.cells}
    every = (
        (estimator, cell, one)
        for (arm, estimator), procedures in sorted(stored.items())
        for procedure, repeats in sorted(procedures.items())
        if Combination(arm, estimator, procedure) in known
        for cell, one in of_repeats(procedure, repeats)
    )
    found = list(islice(every, MOST_VALUES + 1))
    values = [
        Value(
            one.number.value,
            choices(
                {**cells[cell], "estimator": estimator},
                dict(zip(DIMENSIONS, one.choices, strict=True)),
            ),
            int(cells[cell]["repeat"]),
        )
        for estimator, cell, one in found
        if np.isfinite(one.number.value)
    ]
    return share(values, len(found), derive_seed(0, "variation of specifications"))
