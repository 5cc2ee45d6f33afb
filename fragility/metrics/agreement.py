"""Agreement of scores with effects: each metric with n, interval and ceiling, or a reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from fragility.metrics._bootstrap import interval, resamples
from fragility.metrics.base import Array, Metric, finite
from fragility.metrics.reliability import Reliability

Aggregation = Literal["median", "mean"]
Weighting = Literal["raw", "population"]


@dataclass(frozen=True)
class Agreement:
    """One metric for one test point, or for all pairs pooled (`test_point` None).

    `value` is None exactly when `reason` says why; the bounds are None too when resampling says
    nothing (fewer than half of the draws have a value). `n` counts pairs of score and effect;
    `chance` is the mean over random pairings of theirs, None where pairs do not count alike.
    `weighting`: of the pairs as they are, or of the population they were drawn from.
    """

    test_point: int | None
    metric: str
    value: float | None
    ci_low: float | None
    ci_high: float | None
    chance: float | None
    ceiling: float | None
    n: int
    reason: str | None
    weighting: Weighting = "raw"


@dataclass(frozen=True)
class Summary:
    """One metric aggregated over the test points that have a value; `n` counts train points."""

    metric: str
    aggregation: Aggregation
    value: float | None
    ci_low: float | None
    ci_high: float | None
    share_undefined: float
    n_test: int
    n: int
    reason: str | None
    weighting: Weighting = "raw"


OUT_OF_RANGE = "the value is outside the range of floating point"


def measure(
    scores: Array,
    effects: Array,
    metrics: Sequence[Metric],
    *,
    seed: int,
    draws: int = 1000,
    confidence: float = 0.95,
    probabilities: Array | None = None,
) -> tuple[list[Agreement], list[Summary]]:
    """Compare `scores` (test points, n) with `effects` (replicates, test points, n).

    Effects are averaged over replicates. Agreements come test point by test point, `test_point`
    being the row of `scores`, then pooled; within each in the order of `metrics`. Intervals are
    percentile bootstraps: over train points for a test point, over train and test points when
    pooled or summarized. All test points and metrics see the same `draws` (fewer, but at least 200,
    when draws x pairs would exceed 1e8), so that differences can be taken draw by draw.

    With `probabilities` (n,), those with which train points were drawn, every pair weighs the
    inverse of its own: the metric estimates that of the population the points were drawn from
    (Horvitz and Thompson, J. Am. Stat. Assoc. 47 (1952) 663-685; as a ratio of such sums, Hajek).

    Raises:
        ValueError: The shapes of `scores` and `effects` do not belong together.

    Cost on one core, with the usual metrics: 0.15 s for each million of draws x pairs, half of it
    Kendall's; memory 100 MB, and some 400 bytes a pair beyond 250,000 pairs.
    """
    if (
        scores.ndim != 2
        or effects.ndim != 3
        or effects.shape[1:] != scores.shape
        or not len(effects)
    ):
        raise ValueError(
            f"scores {scores.shape} and effects {effects.shape} do not belong together"
        )
    n_test, n = scores.shape
    scores = scores.astype(np.float64)
    effects = effects.astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        means = effects.mean(axis=0)
    weighting: Weighting = "raw" if probabilities is None else "population"
    weights = np.ones(n) if probabilities is None else probabilities.mean() / probabilities
    pair_weights = np.tile(weights, n_test)
    noise = [Reliability(effects[:, point], weights) for point in range(n_test)]
    noise_pooled = Reliability(effects.reshape(len(effects), -1), pair_weights)
    samples = resamples(n_test, n, draws, seed).weighted(weights)

    by_metric: list[list[Agreement]] = []
    summaries: list[Summary] = []
    for metric in metrics:
        agreements: list[Agreement] = []
        drawn = np.full(samples.test.shape, np.nan)
        for point in range(n_test):
            agreement, drawn[point] = _compare(
                metric,
                scores[point],
                means[point],
                weights,
                samples.of_train,
                confidence,
                noise[point],
            )
            agreements.append(replace(agreement, test_point=point))
        pooled, _ = _compare(
            metric,
            scores.ravel(),
            means.ravel(),
            pair_weights,
            samples.of_pairs,
            confidence,
            noise_pooled,
        )
        by_metric.append([*agreements, pooled])
        summaries += _summarize(metric, agreements, drawn, samples.test, n, confidence)
    found = [agreement for place in zip(*by_metric, strict=True) for agreement in place]
    return (
        [replace(agreement, weighting=weighting) for agreement in found],
        [replace(summary, weighting=weighting) for summary in summaries],
    )


def _compare(
    metric: Metric,
    scores: Array,
    effects: Array,
    weights: Array,
    weightings: Callable[[], Iterator[Array]],
    confidence: float,
    noise: Reliability,
) -> tuple[Agreement, Array | float]:
    """Return the agreement, as if pooled, and its bootstrap draws (draws,), or NaN for none."""
    found = Agreement(None, metric.label, None, None, None, None, None, len(scores), None)
    reason = metric.undefined(scores, effects)
    if reason is not None:
        return replace(found, reason=reason), np.nan
    statistic = metric.statistic(scores, effects)
    value = float(statistic(weights[None])[0])
    if not np.isfinite(value):
        return replace(found, reason=OUT_OF_RANGE), np.nan
    drawn = np.concatenate([statistic(weights) for weights in weightings()])
    low, high = interval(drawn, confidence)
    ceiling = metric.ceiling(noise)
    alike = bool((weights == weights[0]).all())
    chance = metric.chance(len(scores), scores, effects) if alike else None
    found = replace(found, value=value, ci_low=low, ci_high=high, chance=chance, ceiling=ceiling)
    return found, drawn


def _summarize(
    metric: Metric,
    agreements: Sequence[Agreement],
    drawn: Array,
    counts: Array,
    n: int,
    confidence: float,
) -> Iterator[Summary]:
    """Yield median and mean over test points; `drawn` and `counts` are (test points, draws)."""
    values = np.array([[np.nan if a.value is None else a.value] for a in agreements]).reshape(-1, 1)
    undefined = [a.reason for a in agreements if a.reason is not None]
    share = len(undefined) / len(agreements) if agreements else 0.0
    found = Summary(metric.label, "median", None, None, None, share, len(agreements), n, None)
    for name, aggregate in AGGREGATIONS.items():
        row = replace(found, aggregation=name)
        if not agreements:
            yield replace(row, reason="there are no test points")
        elif len(undefined) == len(agreements):
            common = Counter(undefined).most_common(1)[0][0]
            yield replace(row, reason=f"no test point of {len(agreements)} has a value: {common}")
        else:
            value = float(aggregate(values, np.ones_like(values))[0])
            low, high = interval(aggregate(drawn, counts), confidence)
            if np.isfinite(value):
                yield replace(row, value=value, ci_low=low, ci_high=high)
            else:
                yield replace(row, reason=OUT_OF_RANGE)


def median(values: Array, counts: Array) -> Array:
    """Return the median (draws,) of `values` (points, draws) repeated `counts` times, less NaN."""
    order = np.argsort(values, axis=0)
    ordered = np.take_along_axis(values, order, axis=0)
    until = np.cumsum(
        np.take_along_axis(np.where(np.isnan(values), 0, counts), order, axis=0), axis=0
    )
    total = until[-1]
    middle = [
        np.take_along_axis(ordered, np.argmax(until > place, axis=0)[None], axis=0)[0]
        for place in ((total - 1) // 2, total // 2)
    ]
    return np.where(total > 0, middle[0] / 2 + middle[1] / 2, np.nan)


def mean(values: Array, counts: Array) -> Array:
    """Return the mean (draws,) of `values` (points, draws) repeated `counts` times, less NaN."""
    present = ~np.isnan(values)
    with np.errstate(over="ignore", invalid="ignore"):
        total = np.sum(np.where(present, values * counts, 0.0), axis=0)
        return finite(total / np.sum(np.where(present, counts, 0.0), axis=0))


AGGREGATIONS: Mapping[Aggregation, Callable[[Array, Array], Array]] = {
    "median": median,
    "mean": mean,
}
