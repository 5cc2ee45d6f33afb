"""Studies shipped after other papers: what each asks, and what was found, test point by test point.

What a paper reports is said only where it could be read there; nothing here is from memory.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fragility.report.context import natural
from fragility.report.declared import declared, nulls
from fragility.report.reproduction.families import Study, median
from fragility.report.text import estimate, listing, number, plural
from fragility.statistics.estimate import Array, Estimate
from fragility.statistics.two_samples import FEWEST

METRICS = ("pearson", "spearman", "slope")


@dataclass(frozen=True)
class Paper:
    """A publication, its central question, and what it reports of it."""

    short: str
    title: str
    question: str
    reports: str


PAPERS: Mapping[str, Paper] = {
    "koh-liang-2017": Paper(
        "Koh and Liang 2017",
        "P. W. Koh, P. Liang, *Understanding black-box predictions via influence functions*, ICML"
        " 2017, figure 2, left",
        "Does influence predict leave-one-out retraining where its assumptions hold: logistic"
        " regression at its optimum?",
        "The paper prints no coefficient for this figure and calls the match close. The 0.86 that"
        " it prints is Pearson's correlation of a small network on the right of that figure, which"
        " is not run here.",
    ),
    "basu-2021": Paper(
        "Basu et al. 2021",
        "S. Basu, P. Pope, S. Feizi, *Influence functions in deep learning are fragile*, ICLR 2021,"
        " section 5",
        "How much does the answer depend on the test image, on the images that are removed, and on"
        " weight decay?",
        "The paper reports, for a tenth of MNIST and weight decay, correlations that run from 0.92"
        " to 0.38 across test points.",
    ),
    "bae-2022": Paper(
        "Bae et al. 2022",
        "J. Bae, N. Ng, A. Lo, M. Ghassemi, R. Grosse, *If influence functions are the answer, then"
        " what is the question?*, NeurIPS 2022",
        "Which truth do scores predict, and where on the way to retraining is agreement lost?",
        "The paper says that scores match the proximal Bregman response (`pbrf`) although they"
        " match leave-one-out retraining badly, and that warm start, proximity and non-convergence"
        " make most of the difference. None of its numbers is quoted here.",
    ),
}


@dataclass(frozen=True)
class Agreement:
    """Signed agreement of one estimator and procedure in an arm.

    Of `units` runs where five or more were made (`over` is "repeats", each the median over its
    test points), else of that many test points of all repeats. `lowest` and `highest` are the
    extremes of Pearson's correlation over test points.
    """

    arm: str
    estimator: str
    procedure: str
    mismatch: str | None
    values: Mapping[str, Estimate]
    units: int
    over: str
    lowest: float
    highest: float


def agreements(study: Study) -> list[Agreement]:
    """Returns a row for each arm, estimator and procedure, in the order of the study."""
    found: dict[tuple[str, str, str], dict[str, dict[int, list[float]]]] = defaultdict(
        lambda: defaultdict(lambda: defaultdict(list))
    )
    for row in study.points:
        if row["value"] is not None and np.isfinite(row["value"]):
            key = (row["arm"], row["estimator"], row["procedure"])
            found[key][row["metric"]][row["repeat"]].append(row["value"])
    mismatches = {
        (row["arm"], row["estimator"], row["procedure"]): row["mismatch"] for row in study.targets
    }
    rows = [
        _agreement(study.name, key, mismatches.get(key), metrics)
        for key, metrics in found.items()
        if metrics.get("pearson")
    ]
    places = [_order(study, kind) for kind in ("estimators", "procedures")]
    return sorted(
        rows,
        key=lambda one: (
            natural(one.arm),
            places[0].get(one.estimator, 0),
            places[1].get(one.procedure, 0),
        ),
    )


def reading(study: Study, found: Sequence[Agreement]) -> list[str]:
    """Returns what the first declared estimator that is no null agrees with, a sentence an arm."""
    known = [one for one in found if one.estimator not in nulls(study.run)]
    if not known:
        return []
    first = known[0].estimator
    arms: dict[str, list[Agreement]] = defaultdict(list)
    for one in known:
        if one.estimator == first:
            arms[one.arm].append(one)
    several = len(arms) > 1
    return [
        f"{f'With {arm}, the' if several else 'The'} median of Pearson's correlation of `{first}`"
        f" is {listing([_with(one) for one in members], 9)}, over"
        f" {plural(members[0].units, members[0].over[:-1])}."
        for arm, members in arms.items()
    ]


def shown(metric: str, found: Estimate | None) -> str:
    """Returns a value with its interval."""
    if found is None:
        return "–"
    return estimate(metric, found.value, found.low, found.high)


def _with(one: Agreement) -> str:
    return f"{shown('pearson', one.values['pearson'])} with `{one.procedure}`"


def _agreement(
    name: str,
    key: tuple[str, str, str],
    mismatch: str | None,
    metrics: Mapping[str, Mapping[int, Sequence[float]]],
) -> Agreement:
    repeats = len(metrics["pearson"])
    by_repeat = repeats >= FEWEST
    values, units = {}, 0
    for metric in METRICS:
        runs = metrics.get(metric, {})
        sample = _sample(runs, by_repeat)
        if sample.size:
            values[metric] = median(sample, name, *key, metric)
        if metric == "pearson":
            units = sample.size
    everything = _sample(metrics["pearson"], by_repeat=False)
    return Agreement(
        *key, mismatch, values, units, "repeats" if by_repeat else "test points",
        float(everything.min()), float(everything.max()),
    )  # fmt: skip


def _sample(runs: Mapping[int, Sequence[float]], by_repeat: bool) -> Array:
    if by_repeat:
        return np.array([np.median(one) for one in runs.values()], dtype=np.float64)
    return np.array([value for one in runs.values() for value in one], dtype=np.float64)


def _order(study: Study, kind: str) -> Mapping[str, int]:
    written = declared(study.run, kind)
    return {
        label: place for place, label in enumerate(written if isinstance(written, dict) else ())
    }


def ends(one: Agreement) -> str:
    """Returns the lowest and the highest Pearson correlation of a test point."""
    return f"{number(one.lowest)} to {number(one.highest)}"
