"""The rules of the shipped controls: what has to come out where the answer is known.

Each reads the run of one part, `studies/controls/*.yaml`; bounds are fixed here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fragility.report.control_statistics import Halves, Inside, half_against_half, inside
from fragility.report.leverage import Curve, cross_entropy, leverages, squared_error
from fragility.report.source import Source
from fragility.report.statistics import mean_interval, null_band
from fragility.report.text import count, estimate, interval, metric_value, number, percent
from fragility.statistics.area_under_curve import area_under_curve
from fragility.store import control_queries as ask
from fragility.store.report_queries import Query

Values = NDArray[np.float64]

AGREES = 0.99
"""Least correlation of exact scores with retraining where the theory holds."""

EXPLAINED = {"cancer": 0.999, "diabetes": 0.9999}
"""Least correlation once leverage is known: of logistic regression to first order, of ridge all."""

SAME = 1e-6
"""Largest difference between a copy and its original, over the largest value."""

REACHED = 0.9
"""Least share of what noise allows that one half must reach as an estimate of the other."""

MEASURABLE = 0.5
"""Least reliability of one half: below, noise is more than half of what it measured."""

STARTS = ("warm", "cold")

NAMES = {"cancer": "logistic regression", "diabetes": "ridge regression"}
CURVES: dict[str, Callable[[Values], Curve]] = {"cancer": cross_entropy, "diabetes": squared_error}
EXPLAINED_WHY = {
    "cancer": "A removal moves a logistic model along the score by 1/(1 - h), to first order.",
    "diabetes": "A removal moves least squares along the score by 1/(1 - h), exactly.",
}

Verdict = tuple[str, bool]
"""What was measured, in words, and whether it is within the bound."""


@dataclass(frozen=True)
class Rule:
    """A control of a shipped part: `measure` says what was measured and whether it passes.

    It returns None where rows are missing: then something failed.
    """

    name: str
    expected: str
    why: str
    queries: tuple[Query, ...]
    measure: Callable[[Source], Verdict | None]


@dataclass(frozen=True)
class _Pairs:
    """Exact scores, effects and losses (tests, removals) of one dataset and procedure."""

    removed: NDArray[np.int64]
    scores: Values
    effects: Values
    loss: Values


def _pairs(source: Source, dataset: str, procedure: str) -> _Pairs | None:
    rows = source.columns(ask.PAIRS)
    here = (rows["dataset"] == dataset) & (rows["procedure"] == procedure)
    tests, removed = (np.unique(rows[name][here]) for name in ("test_point", "train_point"))
    if not here.any() or here.sum() != len(tests) * len(removed):
        return None
    shape = (len(tests), len(removed))
    scores, effects, loss = (
        rows[name][here].reshape(shape) for name in ("score", "effect", "loss")
    )
    return _Pairs(removed.astype(np.int64), scores, effects, loss)


def _agrees(dataset: str) -> Callable[[Source], Verdict | None]:
    def measure(source: Source) -> Verdict | None:
        rows = [
            row
            for row in source.ask(ask.AGREED)
            if (row["dataset"], row["estimator"]) == (dataset, "exact") and row["value"] is not None
        ]
        if {row["procedure"] for row in rows} != set(STARTS):
            return None
        words = [
            f"{estimate('pearson', row['value'], row['ci_low'], row['ci_high'])} {row['procedure']}"
            for row in sorted(rows, key=lambda row: STARTS.index(row["procedure"]))
        ]
        return ", ".join(words), all(row["value"] >= AGREES for row in rows)

    return measure


def _explained(dataset: str) -> Callable[[Source], Verdict | None]:
    def measure(source: Source) -> Verdict | None:
        pairs = _pairs(source, dataset, "warm")
        if pairs is None:
            return None
        found = leverages(pairs.scores, pairs.effects, pairs.loss, CURVES[dataset])
        correlation, values = float(found.correlations.mean()), found.values
        size = next(r["parameters"] for r in source.ask(ask.SIZES) if r["dataset"] == dataset)
        low, high, total = float(values.min()), float(values.max()), float(values.sum())
        words = (
            f"{metric_value('pearson', correlation)}; leverages {number(low)} to {number(high)},"
            f" sum {number(total)} of at most {count(size)}"
        )
        sound = low >= -SAME and high < 1 and total <= size
        return words, sound and correlation >= EXPLAINED[dataset]

    return measure


def _random(source: Source) -> Verdict | None:
    return _share(source, "random", "warm")


def _share(source: Source, estimator: str, procedure: str) -> Verdict | None:
    found = [_band(rows) for rows in _by_dataset(source, estimator, procedure)]
    known = [part for part in found if part is not None]
    if not known:
        return None
    return in_band(Inside(sum(p.count for p in known), sum(p.total for p in known)))


def in_band(found: Inside) -> Verdict:
    """Returns a share of the band in words, and whether chance explains what lies outside."""
    words = f"{percent(found.share)}, {count(found.count)} of {count(found.total)}"
    return f"{words}; chance leaves {count(found.fewest)} or more", found.count >= found.fewest


def _untrained(source: Source) -> Verdict | None:
    (untrained,) = _by_dataset(source, "untrained", "seeds") or (None,)
    (trained,) = _by_dataset(source, "exact", "seeds") or (None,)
    if untrained is None or trained is None or (band := null_band("pearson", untrained[1])) is None:
        return None
    mean, other = mean_interval(untrained[0], "pearson"), mean_interval(trained[0], "pearson")
    words = (
        f"{estimate('pearson', mean.value, mean.low, mean.high)}, band ±{number(band[1])};"
        f" the trained network's {estimate('pearson', other.value, other.low, other.high)}"
    )
    return words, band[0] <= mean.value <= band[1]


def _by_dataset(source: Source, estimator: str, procedure: str) -> list[tuple[Values, int]]:
    """Returns the correlations at the test points of each dataset, and how many pairs they have."""
    rows = source.columns(ask.BY_TEST_POINT)
    here = (rows["estimator"] == estimator) & (rows["procedure"] == procedure)
    here &= np.isfinite(np.asarray(rows["value"], dtype=np.float64))
    return [
        (rows["value"][of], int(rows["n"][of].min()))
        for of in (here & (rows["dataset"] == name) for name in np.unique(rows["dataset"][here]))
    ]


def _band(rows: tuple[Values, int]) -> Inside | None:
    return inside(*rows)


def _flipped(what: Literal["scores", "effects"]) -> Callable[[Source], Verdict | None]:
    def measure(source: Source) -> Verdict | None:
        pairs, flipped = _pairs(source, "cancer", "warm"), _planted(source, "flipped")
        if pairs is None or len(flipped) < 2:
            return None
        values = getattr(pairs, what).mean(axis=0)
        wrong = np.isin(pairs.removed, flipped[:, 0])
        mean, found = mean_interval(values[wrong]), area_under_curve(-values, wrong)
        words = (
            f"mean {number(mean.value)} {interval(mean.low, mean.high)}, of the others"
            f" {number(float(values[~wrong].mean()))}; area under ROC"
            f" {number(found.value)} {interval(found.low, found.high)}"
        )
        tells = found.low is not None and found.low > 0.5
        return words, tells and mean.high is not None and mean.high < 0

    return measure


def _copies(source: Source) -> Verdict | None:
    pairs, copies = _pairs(source, "cancer", "warm"), _planted(source, "copy")
    if pairs is None or not len(copies):
        return None
    places = np.searchsorted(pairs.removed, copies)
    apart = [
        float(np.abs(v[:, places[:, 0]] - v[:, places[:, 1]]).max() / np.abs(v).max())
        for v in (pairs.scores, pairs.effects)
    ]
    words = f"scores {number(apart[0])}, effects {number(apart[1])} of the largest apart"
    return words, max(apart) <= SAME


def _planted(source: Source, what: str) -> NDArray[np.int64]:
    """Returns position and original of what was planted, (k, 2)."""
    rows = [r for r in source.ask(ask.PLANTED) if (r["dataset"], r["what"]) == ("cancer", what)]
    pairs = [(row["train_point"], row["original"]) for row in rows]
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)


def _halves(source: Source) -> Verdict | None:
    rows = source.columns(ask.REPLICATES)
    axes = [np.unique(rows[name]) for name in ("replicate", "test_point", "train_point")]
    shape = tuple(len(axis) for axis in axes)
    if not len(rows["effect"]) or len(rows["effect"]) != np.prod(shape):
        return None
    found = half_against_half(rows["effect"].reshape(shape), seed=0)
    if found is None:
        return None
    words, passed = reaches(found)
    return words, passed and found.allowed >= MEASURABLE


def reaches(found: Halves) -> Verdict:
    """Returns what one half of the replicates reaches, and whether that is what noise allows."""
    mean = found.observed
    observed = estimate("pearson", mean.value, mean.low, mean.high)
    words = f"{observed}, and noise allows {metric_value('pearson', found.allowed)}"
    return words, mean.value >= REACHED * found.allowed


PARTS: Mapping[str, tuple[Rule, ...]] = {
    "controls-convex": (
        *(
            rule
            for dataset, name in NAMES.items()
            for rule in (
                Rule(
                    f"Exact scores, {name}",
                    f"Pearson with retraining at least {AGREES}, warm and cold",
                    "At the optimum of a convex objective the score is the effect to first order.",
                    (ask.AGREED,),
                    _agrees(dataset),
                ),
                Rule(
                    f"Leverage, {name}",
                    f"Pearson at least {EXPLAINED[dataset]} at half the test points, with leverages"
                    " that the other half tells",
                    EXPLAINED_WHY[dataset],
                    (ask.PAIRS, ask.SIZES),
                    _explained(dataset),
                ),
            )
        ),
        Rule(
            "Random scores",
            "inside the 95 % band of unrelated lists",
            "Numbers that were drawn know nothing of the effects.",
            (ask.BY_TEST_POINT,),
            _random,
        ),
        Rule(
            "Flipped labels, by score",
            "mean below 0, area under ROC above 0.5, with their intervals",
            "A wrong label does harm: without it the mean test loss falls.",
            (ask.PAIRS, ask.PLANTED),
            _flipped("scores"),
        ),
        Rule(
            "Flipped labels, by retraining",
            "mean below 0, area under ROC above 0.5, with their intervals",
            "The same, measured instead of predicted.",
            (ask.PAIRS, ask.PLANTED),
            _flipped("effects"),
        ),
        Rule(
            "Copies",
            "scores and effects of the original, to 10⁻⁶ of the largest",
            "Which of two equal examples is taken out makes no difference.",
            (ask.PAIRS, ask.PLANTED),
            _copies,
        ),
    ),
    "controls-network": (
        Rule(
            "Half against half, network",
            f"at least {percent(REACHED)} of what noise allows",
            "No score agrees better with one half of the retrainings than the other half does.",
            (ask.REPLICATES,),
            _halves,
        ),
        Rule(
            "Untrained network",
            "mean Pearson over test points inside the 95 % band of one",
            "In regression, residuals before training are the targets, which say nothing of the"
            " residuals after it; test points share much, so that all may count as one.",
            (ask.BY_TEST_POINT,),
            _untrained,
        ),
    ),
}
