"""Scores and effects of a whole study as one table, and the weighted statistics of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from fragility.statistics.correlations import CORRELATIONS, ROUNDING, Kind, spearman
from fragility.statistics.estimate import Array, not_finite
from fragility.statistics.fisher_z import fisher_z
from fragility.statistics.fixed_correlations import FIXED
from fragility.statistics.nested_bootstrap import WeightedStatistic
from fragility.statistics.resampling import Axis, Weights
from fragility.statistics.split_half import halves, latent

Metric = Callable[[Array, Array], Callable[[Array], Array]]

CHUNK = 2**18
"""Means of effects held at once: 2 MB; a rank correlation holds about ten times that."""

SPLITS = 20
"""Cuts into halves inside a bootstrap: more would only steady the mean of each draw."""


@dataclass(frozen=True)
class Panel:
    """Scores (repeats, tests, points) and effects (repeats, tests, points, replicates).

    Points are training points, or groups of them that are removed together. Replicates belong to
    their repeat. Test points, and points, are the same in all repeats unless `own_tests` and
    `own_points` say that each repeat has its own. `strata` are the points of each stratum where
    they were drawn within strata.
    """

    scores: Array
    effects: Array
    own_tests: bool = False
    own_points: bool = False
    strata: tuple[tuple[int, ...], ...] = ()

    def __post_init__(self) -> None:
        """Checks that the shapes belong together.

        Raises:
            ValueError: They do not.
        """
        if self.scores.ndim != 3 or self.effects.shape[:-1] != self.scores.shape:
            raise ValueError(
                f"scores {self.scores.shape} and effects {self.effects.shape} do not belong"
                " together"
            )

    @classmethod
    def of_one(cls, scores: Array, effects: Array) -> Panel:
        """Returns the panel of one test point: `scores` (points,), `effects` (replicates, points).

        Here alone replicates come first, as in the functions on reliability.
        """
        return cls(scores[None, None], effects.T[None, None])

    @property
    def axes(self) -> tuple[Axis, ...]:
        """What the study drew, for `nested_bootstrap`."""
        repeats, tests, points, replicates = self.effects.shape
        return (
            Axis("repeats", repeats),
            Axis("tests", tests, nested_in="repeats" if self.own_tests else None),
            Axis(
                "points",
                points,
                nested_in="repeats" if self.own_points else None,
                strata=self.strata,
            ),
            Axis("replicates", replicates, nested_in="repeats", averaged=True),
        )

    @property
    def undefined(self) -> str | None:
        """Why nothing can be said of this panel, or None."""
        if self.effects.size == 0:
            return "there are no effects"
        if self.scores.shape[2] < 4:
            return f"{self.scores.shape[2]} points; at least 4 are needed"
        return not_finite("scores", self.scores) or not_finite("effects", self.effects)


def mean_correlation(panel: Panel, kind: Kind) -> WeightedStatistic:
    """Returns the mean, over repeats and test points, of the correlation over points.

    Effects are averaged over replicates first, correlations as Fisher's z. Test points whose scores
    or effects are constant have no correlation and are left out.
    """
    scores, shape = panel.scores, panel.scores.shape
    fixed = FIXED[kind](*(side.reshape(-1, shape[2]) for side in (scores, panel.effects.mean(-1))))

    def statistic(weights: Weights) -> Array:
        points = _distinct(weights["points"])
        if np.all(weights["replicates"] == weights["replicates"][:1, :1]):
            found = fixed(points).reshape(-1, *shape[:2])
        else:
            means = _means(panel.effects, weights["replicates"])
            found = CORRELATIONS[kind](scores[None], means, points[:, None, None, :])
        return np.tanh(_mean(fisher_z(found), weights))

    return _in_chunks(statistic, panel)


def mean_reliability(panel: Panel, kind: Kind, *, seed: int) -> WeightedStatistic:
    """Returns the reliability, 0 to 1, of the means over replicates, over all test points.

    That of single replicates is averaged over repeats and test points, then stepped up by
    Spearman-Brown. For Pearson it is ICC(C,1); for Spearman it is had from rank correlations of
    halves, as by `split_half`, but from their mean, which unlike a median of few can be resampled.
    Undefined with one replicate.
    """
    replicates = panel.effects.shape[3]
    single = _consistency(panel) if kind == "pearson" else _rank_halves(panel, seed)

    def statistic(weights: Weights) -> Array:
        clipped = np.clip(single(weights), 0.0, 1.0)
        return np.asarray(replicates * clipped / (1 + (replicates - 1) * clipped))

    return _in_chunks(statistic, panel)


def mean_metric(panel: Panel, metric: Metric) -> WeightedStatistic:
    """Returns the mean, over repeats and test points, of any metric of scores and mean effects.

    `metric` makes of scores and effects (points,) a function of weights (draws, points), as the
    metrics' `statistic` does. Replicates are held fixed. Test points without a value are left out.
    """
    repeats, tests, _ = panel.scores.shape
    means = panel.effects.mean(axis=3)
    of_each = [
        [metric(panel.scores[s, t], means[s, t]) for t in range(tests)] for s in range(repeats)
    ]

    def statistic(weights: Weights) -> Array:
        points = _distinct(weights["points"])
        found = np.array([[of_weights(points) for of_weights in row] for row in of_each])
        return _mean(np.moveaxis(found, 2, 0), weights)

    return _in_chunks(statistic, panel)


def _consistency(panel: Panel) -> WeightedStatistic:
    """Returns the mean of ICC(C,1); see `intraclass_consistency`."""
    # Without the shift of each replicate, which has no part in it and may be the larger number.
    centred = panel.effects - panel.effects.mean(axis=2, keepdims=True)
    size = np.abs(centred).max(axis=(2, 3), keepdims=True)
    rounding = ROUNDING * np.abs(panel.effects).max(axis=(2, 3), keepdims=True)
    effects = np.where(size > rounding, centred, 0.0) / np.where(size > rounding, size, 1.0)
    squares = effects**2

    def statistic(weights: Weights) -> Array:
        points, replicates = _distinct(weights["points"]), _distinct(weights["replicates"])
        n, r = points.sum(axis=1)[:, None, None], replicates.sum(axis=1)[:, None, None]
        of_points = np.einsum("dr,stnr->dstn", replicates, effects, optimize=True)
        of_replicates = np.einsum("dn,stnr->dstr", points, effects, optimize=True)
        total = np.einsum("dn,dr,stnr->dst", points, replicates, squares, optimize=True)
        mean = np.einsum("dn,dstn->dst", points, of_points) ** 2 / (n * r)
        between = np.einsum("dn,dstn->dst", points, of_points**2) / r - mean
        shifts = np.einsum("dr,dstr->dst", replicates, of_replicates**2) / n - mean
        rest = np.maximum(total - mean - between - shifts, 0.0)
        with np.errstate(invalid="ignore", divide="ignore"):
            noise = rest / (r - 1)
            found = (between - noise) / (between + (r - 1) * noise)
        return _mean(found, weights)

    return statistic


def _rank_halves(panel: Panel, seed: int) -> WeightedStatistic:
    """Returns the reliability of single replicates from rank correlations between halves."""
    replicates = panel.effects.shape[3]
    half = replicates // 2
    first, second = halves(replicates, SPLITS, seed) if replicates > 1 else ([], [])

    def statistic(weights: Weights) -> Array:
        points = _distinct(weights["points"])[:, None, None, :]
        cuts = [
            _mean(
                spearman(
                    _means(panel.effects, weights["replicates"] * a),
                    _means(panel.effects, weights["replicates"] * b),
                    points,
                ),
                weights,
            )
            for a, b in zip(first, second, strict=True)
        ]
        if not cuts:
            return np.full(len(weights["points"]), np.nan)
        # A half of the replicates may lie on one side of a cut, which then says nothing.
        said = np.isfinite(cuts)
        with np.errstate(invalid="ignore"):
            normal = latent(np.where(said, cuts, 0.0).sum(axis=0) / said.sum(axis=0))
        return np.asarray(normal / (half - (half - 1) * normal))

    return statistic


def _mean(values: Array, weights: Weights) -> Array:
    """Returns the mean (draws,) over repeats and test points of `values` (draws or 1, ...)."""
    present = np.isfinite(values)
    repeats, tests = weights["repeats"], weights["tests"]
    used = repeats[:, :, None] * tests[:, None, :] * present
    with np.errstate(invalid="ignore", divide="ignore"):
        total = np.sum(used * np.where(present, values, 0.0), axis=(1, 2))
        return np.asarray(total / np.sum(used, axis=(1, 2)))


def _means(effects: Array, replicates: Array) -> Array:
    """Returns weighted means over replicates, (draws, repeats, tests, points)."""
    weights = _distinct(replicates)
    with np.errstate(invalid="ignore", divide="ignore"):
        shares = weights / weights.sum(axis=1, keepdims=True)
        return np.asarray(np.einsum("dr,stnr->dstn", shares, effects, optimize=True))


def _distinct(weights: Array) -> Array:
    """Returns the one row (1, size) that all rows equal, or all rows (draws, size)."""
    return weights[:1] if bool(np.all(weights == weights[:1])) else weights


def _in_chunks(statistic: WeightedStatistic, panel: Panel) -> WeightedStatistic:
    """Returns the statistic of so many draws at once as memory is meant to hold."""
    step = max(1, CHUNK // panel.scores.size)

    def of_chunks(weights: Weights) -> Array:
        draws = len(weights["points"])
        return np.concatenate(
            [
                statistic({name: rows[at : at + step] for name, rows in weights.items()})
                for at in range(0, draws, step)
            ]
        )

    return of_chunks
