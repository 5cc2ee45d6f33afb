"""Agreement, reliability and gaps of an arm: averaged over test points and repeats, with intervals.

Correlations are averaged as they are: on Fisher's z scale a single test point of agreement to the
last digit, as neighbouring truths have it, would outweigh all others. Intervals come from the
bootstrap of `fragility.statistics`; where it has none (fewer than five repeats decide, or pairs are
too many to resample for a page), they are Student's over repeats, or over the test points of a
single repeat.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fragility.report.statistics import mean_interval
from fragility.statistics.attenuation import withheld
from fragility.statistics.ceiling import ceiling
from fragility.statistics.correlations import CORRELATIONS, Kind
from fragility.statistics.estimate import Estimate, missing
from fragility.statistics.fixed_correlations import FIXED
from fragility.statistics.nested_bootstrap import WeightedStatistic, nested_bootstrap
from fragility.statistics.panel import Panel, mean_reliability
from fragility.statistics.resampling import Axis, Weights, resampled
from fragility.statistics.split_half import spearman_brown

Values = NDArray[np.float64]

FEWEST_PAIRS = 4
"""A correlation of fewer pairs is no evidence: any order of three is too easily had by chance."""

DRAWS = 2000
"""With few repeats an interval ends at a rare quantile of the draws: fewer would make it jump."""

FEWEST_DRAWS = 200
HELD = 2**17
"""Pairs x draws held at once: 1 MB an array, of which a rank correlation has some twenty."""

MOST_PRODUCTS: Mapping[Kind, int] = {"pearson": 20_000_000, "spearman": 750_000}
"""Draws x pairs spent on one interval: a tenth of a second."""


@dataclass(frozen=True)
class Sample:
    """What is compared: for each repeat x (tests, removals) and effects (replicates, tests, ...).

    `own_tests` and `own_removed` say that each repeat has its own, not the same in all. `strata`
    are the places of the removals of each stratum, where they were drawn within strata.
    """

    x: tuple[Values, ...]
    effects: tuple[Values, ...]
    own_tests: bool = False
    own_removed: bool = False
    strata: tuple[tuple[int, ...], ...] = ()

    @property
    def replicates(self) -> int:
        """How many replicates each repeat has at least."""
        return min(len(effects) for effects in self.effects)

    @property
    def repeats(self) -> list[tuple[Values, Values]]:
        """Each repeat's x and effects, both (tests, removals), the mean taken over replicates."""
        return [(x, e.mean(axis=0)) for x, e in zip(self.x, self.effects, strict=True)]

    @property
    def panels(self) -> list[Panel]:
        """Each repeat as a panel of its own."""
        return [
            Panel(x[None], np.moveaxis(effects, 0, -1)[None])
            for x, effects in zip(self.x, self.effects, strict=True)
        ]

    @property
    def panel(self) -> Panel | None:
        """All repeats as one panel; None where their sizes differ."""
        if len({effects.shape for effects in self.effects}) != 1:
            return None
        effects = np.moveaxis(np.stack(self.effects), 1, -1)
        strata = () if self.own_removed else self.strata
        return Panel(np.stack(self.x), effects, self.own_tests, self.own_removed, strata)


def own(positions: Sequence[NDArray[np.int64]]) -> bool:
    """Returns whether repeats have positions of their own, not all the same."""
    return any(not np.array_equal(positions[0], other) for other in positions[1:])


@dataclass(frozen=True)
class Noise:
    """What replicates say of the effects: how reliable one is and their mean, and the ceiling.

    `replicates` is their number; with one, or where effects are constant, nothing is known.
    """

    replicates: int
    single: Estimate
    mean: Estimate
    ceiling: Estimate


def agreement(sample: Sample, kind: Kind, seed: int) -> Estimate:
    """Returns the mean correlation of x with mean effects over removals.

    First over the test points of a repeat, then over repeats. Test points where one side is
    constant have no correlation and are left out.
    """
    if min(x.shape[1] for x in sample.x) < FEWEST_PAIRS:
        return missing(f"fewer than {FEWEST_PAIRS} removals are shared")
    tests = [_of_tests(x, effects, kind) for x, effects in sample.repeats]
    repeats = [float(found.mean()) for found in tests if found.size]
    if not repeats:
        return missing("one side is constant at every test point")
    found = _student(repeats, -1.0, 1.0)
    drawn = _resampled(sample, lambda panel: _mean_correlation(panel, kind), seed, kind)
    if drawn is not None:
        return replace(found, low=drawn.low, high=drawn.high, reason=drawn.reason)
    return _student(tests[0], -1.0, 1.0) if len(tests) == 1 else found


def median_agreement(sample: Sample, kind: Kind, seed: int) -> Estimate | None:
    """Returns the mean over repeats of the median correlation over test points.

    With the interval of the nested bootstrap; None where that has none.
    """
    return _resampled(sample, lambda panel: _median_correlation(panel, kind), seed, kind)


def noise(sample: Sample, seed: int) -> Noise:
    """Returns how reliable the effects are for a correlation over removals (ICC(C,1) and of means).

    The reliability of single replicates is averaged over test points and repeats, then stepped up.
    """
    count = sample.replicates
    if count < 2:
        return Noise(count, *[missing("one replicate says nothing about noise")] * 3)
    known = _single_reliability(sample)
    if not known:
        return Noise(count, *[missing("effects are constant at every test point")] * 3)
    single = _student(known, 0.0, 1.0)
    mean = single.map(lambda value: spearman_brown(value, count))
    drawn = _resampled(sample, _reliability, seed)
    if drawn is not None:
        mean = replace(mean, low=drawn.low, high=drawn.high, reason=drawn.reason)
        single = mean.map(lambda value: spearman_brown(value, 1 / count))
    return Noise(count, single, mean, mean.map(lambda value: ceiling(value, "pearson")))


def noise_ceiling(sample: Sample) -> float | None:
    """Returns Pearson's correlation of a perfect score with the mean effects; None if unknown."""
    known = _single_reliability(sample) if sample.replicates > 1 else []
    if not known:
        return None
    return ceiling(spearman_brown(float(np.mean(known)), sample.replicates), "pearson")


def corrected(sample: Sample, effects: Noise, seed: int) -> Estimate:
    """Returns Pearson's correlation divided by its ceiling, or why that is withheld.

    Both are estimated anew in every draw, or in every repeat.
    """
    reason = withheld(effects.mean)
    if reason is not None:
        return missing(reason)
    quotients = [_at_ones(_quotient(panel), panel) for panel in sample.panels]
    if not np.isfinite(quotients).all():
        return missing("a repeat has no correlation, or no reliability above 0")
    found = _student(quotients, -np.inf, np.inf)
    drawn = _resampled(sample, _quotient, seed)
    return found if drawn is None else drawn


def root_mean_square(sample: Sample, seed: int) -> Estimate:
    """Returns the root mean square, over pairs and repeats, of mean effects minus x."""
    squares = [(means - x) ** 2 for x, means in sample.repeats]
    found = _student([float(square.mean()) for square in squares], 0.0, np.inf)
    drawn = _resampled(sample, _mean_square, seed)
    if drawn is not None:
        found = replace(found, low=drawn.low, high=drawn.high, reason=drawn.reason)
    elif len(squares) == 1 and len(squares[0]) > 1:
        found = _student(squares[0].mean(axis=1), 0.0, np.inf)
    return found.map(lambda value: float(np.sqrt(max(value, 0.0))))


def mean_gap(sample: Sample) -> float:
    """Returns the mean, over pairs and then over repeats, of mean effects minus x."""
    return float(np.mean([(means - x).mean() for x, means in sample.repeats]))


def _of_tests(x: Values, effects: Values, kind: Kind) -> Values:
    """Returns the correlations at the test points that have one."""
    found = CORRELATIONS[kind](x, effects, np.ones(x.shape[1]))
    return found[np.isfinite(found)]


def _mean_correlation(panel: Panel, kind: Kind) -> WeightedStatistic:
    """Returns the mean correlation as a function of weights; effects are averaged first."""
    correlations = _of_weights(panel, kind)

    def statistic(weights: Weights) -> Values:
        each = correlations(weights)
        used = weights["repeats"][:, :, None] * weights["tests"][:, None, :] * np.isfinite(each)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(np.nansum(used * each, axis=(1, 2)) / used.sum(axis=(1, 2)))

    return statistic


def _median_correlation(panel: Panel, kind: Kind) -> WeightedStatistic:
    """Returns the mean over repeats of the median over test points as a function of weights."""
    correlations = _of_weights(panel, kind)

    def statistic(weights: Weights) -> Values:
        medians = _median(correlations(weights), weights["tests"])
        used = weights["repeats"] * np.isfinite(medians)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(np.nansum(used * medians, axis=1) / used.sum(axis=1))

    return statistic


def _median(values: Values, counts: Values) -> Values:
    """Returns medians (draws, repeats) over tests, each counted `counts` (draws, tests) times."""
    draws = max(len(values), len(counts))
    each = np.broadcast_to(values, (draws, *values.shape[1:]))
    order = np.argsort(each, axis=2)
    ordered = np.take_along_axis(each, order, axis=2)
    often = np.where(np.isfinite(each), counts[:, None, :], 0.0)
    until = np.cumsum(np.take_along_axis(often, order, axis=2), axis=2)
    total = until[:, :, -1:]
    ends = [
        np.take_along_axis(ordered, np.argmax(until > place, axis=2)[:, :, None], axis=2)[:, :, 0]
        for place in ((total - 1) // 2, total // 2)
    ]
    return np.where(total[:, :, 0] > 0, ends[0] / 2 + ends[1] / 2, np.nan)


def _of_weights(panel: Panel, kind: Kind) -> Callable[[Weights], Values]:
    """Returns the correlations (draws or 1, repeats, tests) as a function of weights.

    The bootstrap asks for the same resamples of points again and again, each time with repeats or
    test points resampled or not: their correlations are worked out once.
    """
    known: dict[bytes, Values] = {}

    def correlations(weights: Weights) -> Values:
        points, replicates = (_distinct(weights[name]) for name in ("points", "replicates"))
        key = points.tobytes() + replicates.tobytes()
        if key not in known:
            known[key] = _correlations(panel, kind, points, replicates)
        return known[key]

    return correlations


def _correlations(panel: Panel, kind: Kind, points: Values, replicates: Values) -> Values:
    """Returns the correlation (draws, repeats, tests) of every draw's points and replicates."""
    draws = max(len(points), len(replicates))
    parts = [slice(at, at + _step(panel)) for at in range(0, draws, _step(panel))]
    shares = replicates / replicates.sum(axis=1, keepdims=True)
    if len(shares) == 1:
        rows = (-1, panel.scores.shape[2])
        means = np.einsum("k,rtpk->rtp", shares[0], panel.effects)
        of_weights = FIXED[kind](panel.scores.reshape(rows), means.reshape(rows))
        found = np.concatenate([of_weights(points[part]) for part in parts])
        return found.reshape(len(points), *panel.scores.shape[:2])
    counts = np.broadcast_to(points, (draws, points.shape[1]))
    return np.concatenate(
        [
            CORRELATIONS[kind](
                panel.scores[None],
                np.einsum("dk,rtpk->drtp", shares[part], panel.effects, optimize=True),
                counts[part][:, None, None, :],
            )
            for part in parts
        ]
    )


def _step(panel: Panel) -> int:
    return max(1, HELD // panel.scores.size)


def _distinct(rows: Values) -> Values:
    """Returns one row where all are equal: an axis that is not resampled, worked out once."""
    return rows[:1] if bool(np.all(rows == rows[0])) else rows


def _single_reliability(sample: Sample) -> list[float]:
    """Returns the reliability of one replicate in each repeat that has any differences."""
    full = [(_at_ones(_reliability(panel), panel), panel) for panel in sample.panels]
    return [
        spearman_brown(value, 1 / panel.effects.shape[3])
        for value, panel in full
        if np.isfinite(value)
    ]


def _reliability(panel: Panel) -> WeightedStatistic:
    return mean_reliability(panel, "pearson", seed=0)


def _quotient(panel: Panel) -> WeightedStatistic:
    correlation, reliability = _mean_correlation(panel, "pearson"), _reliability(panel)

    def statistic(weights: Weights) -> Values:
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(correlation(weights) / np.sqrt(reliability(weights)))

    return statistic


def _at_ones(statistic: WeightedStatistic, panel: Panel) -> float:
    return float(statistic({axis.name: np.ones((1, axis.size)) for axis in panel.axes})[0])


def _mean_square(panel: Panel) -> WeightedStatistic:
    squares = (panel.effects.mean(axis=3) - panel.scores) ** 2

    def statistic(weights: Weights) -> Values:
        parts = [weights[name] for name in ("repeats", "tests", "points")]
        total = np.einsum("dr,dt,dp,rtp->d", *parts, squares, optimize=True)
        return np.asarray(total / np.prod([part.sum(axis=1) for part in parts], axis=0))

    return statistic


def _resampled(
    sample: Sample,
    statistic: Callable[[Panel], WeightedStatistic],
    seed: int,
    kind: Kind = "pearson",
) -> Estimate | None:
    """Returns the bootstrap's estimate, None where it has no interval."""
    panel = sample.panel
    if panel is None or panel.undefined or not (draws := _affordable(panel, kind)):
        return None
    found = nested_bootstrap(statistic(panel), panel.axes, seed=seed, draws=draws).estimate
    return found if found.low is not None else None


def _affordable(panel: Panel, kind: Kind) -> int:
    """Returns how many draws a page can wait for, 0 where they are too few for an interval."""
    free = resampled(panel.axes)
    if not _dear(free):
        return DRAWS
    draws = min(DRAWS, MOST_PRODUCTS[kind] // panel.scores.size)
    return draws if draws >= FEWEST_DRAWS else 0


def _dear(free: Sequence[Axis]) -> bool:
    """Returns whether every draw has correlations of its own, not only weights of them."""
    return any(axis.name in ("points", "replicates") for axis in free)


def _student(values: Sequence[float] | Values, lowest: float, highest: float) -> Estimate:
    """Returns the mean with Student's interval, cut to the values it can take."""
    mean = mean_interval(values)
    if mean.low is None or mean.high is None:
        return Estimate(mean.value, None, None, "one repeat has no interval")
    return Estimate(mean.value, max(mean.low, lowest), min(mean.high, highest))
