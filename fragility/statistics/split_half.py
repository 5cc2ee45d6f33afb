"""Split-half reliability: correlate one half of the replicates with the other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from math import comb

import numpy as np

from fragility.identity import derive_seed
from fragility.statistics.correlations import CORRELATIONS, Kind
from fragility.statistics.estimate import Array
from fragility.statistics.intraclass import undefined

CHUNK = 2**20
"""Means of halves held at once: 8 MB."""


@dataclass(frozen=True)
class SplitHalf:
    """Reliability from halves of the replicates; the numbers are None exactly when `reason` is not.

    `half` is the median correlation of the means of two halves, as measured and possibly negative;
    `single` and `full` are the reliabilities, 0 to 1, of one replicate and of the mean over all.
    """

    half: float | None
    single: float | None
    full: float | None
    splits: int
    reason: str | None


def spearman_brown(reliability: float, factor: float) -> float:
    """Returns the reliability of the mean over `factor` times as many replicates, 0 to 1.

    Exact for independent replicates of equal variance; a negative `reliability` counts as 0.

    Source: C. Spearman, Br. J. Psychol. 3 (1910) 271-295; W. Brown, ibid. 296-322.
    """
    clipped = min(max(reliability, 0.0), 1.0)
    return factor * clipped / (1 + (factor - 1) * clipped)


def latent(correlation: Array) -> Array:
    """Returns Pearson's correlation of normal variables with this Spearman correlation.

    Source: K. Pearson, Drapers' Company Research Memoirs, Biometric Series IV (1907).
    """
    return np.asarray(2 * np.sin(np.pi / 6 * correlation))


def split_half(
    effects: Array,
    *,
    seed: int,
    kind: Kind = "pearson",
    splits: int = 1000,
    weights: Array | None = None,
) -> SplitHalf:
    """Returns the split-half reliability of `effects` (replicates, points).

    Replicates are cut into two halves, the points' means over them correlated, and the median over
    all cuts, or `splits` random ones when there are more, stepped up by Spearman-Brown; with an odd
    number of replicates each cut leaves one out. A shift that a replicate gives to all points alike
    has no part in it.

    With `kind` spearman the means are ranked, and the correlation of normal variables with that
    rank correlation is stepped up. With effects of which few are large and many are near zero, the
    two kinds differ, and only the ranks say how well Spearman's correlation can be measured. With
    `weights` (points,) points count as repeated so often.

    Cost: splits x replicates x points multiplications; ranks are sorted in every split.
    """
    reason = undefined(effects)
    if reason is not None:
        return SplitHalf(None, None, None, 0, reason)
    replicates, points = effects.shape
    half = replicates // 2
    members = halves(replicates, splits, seed)
    counts = np.ones(points) if weights is None else weights
    values = np.concatenate(
        [
            CORRELATIONS[kind](first @ effects / half, second @ effects / half, counts)
            for first, second in _chunks(members, points)
        ]
    )
    if not np.isfinite(values).all():
        return SplitHalf(None, None, None, 0, "in some halves the effects of all points are equal")
    median = float(np.median(values))
    normal = float(latent(np.asarray(median))) if kind == "spearman" else median
    return SplitHalf(
        half=median,
        single=spearman_brown(normal, 1 / half),
        full=spearman_brown(normal, replicates / half),
        splits=len(values),
        reason=None,
    )


def halves(replicates: int, splits: int, seed: int) -> Array:
    """Returns ones for the members of both halves (2, splits, replicates) of random cuts.

    All different cuts, once each, when there are no more than `splits` of them.
    """
    half = replicates // 2
    different = comb(replicates, 2 * half) * comb(2 * half, half) // 2
    if different <= splits:
        cuts = list(_every_cut(replicates, half))
        members = np.zeros((2, len(cuts), replicates))
        for row, cut in enumerate(cuts):
            for side in (0, 1):
                members[side, row, list(cut[side])] = 1
        return members
    rng = np.random.default_rng(derive_seed(seed, "halves of the replicates"))
    order = rng.permuted(np.tile(np.arange(replicates), (splits, 1)), axis=1)
    return np.stack([order < half, (order >= half) & (order < 2 * half)]).astype(np.float64)


def _every_cut(replicates: int, half: int) -> Iterator[tuple[set[int], set[int]]]:
    for used in combinations(range(replicates), 2 * half):
        for others in combinations(used[1:], half - 1):
            first = {used[0], *others}
            yield first, set(used) - first


def _chunks(members: Array, points: int) -> list[Array]:
    step = max(1, CHUNK // points)
    return [members[:, start : start + step] for start in range(0, members.shape[1], step)]
