"""Our runs held against published ones, by the rules of `docs/references.md`.

Whatever changes a verdict here changes that page, and the changelog says so.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from fragility.identity import derive_seed
from fragility.references.declared import CORRELATIONS, Quantity
from fragility.statistics.estimate import Array, Estimate
from fragility.statistics.null_band import null_mean_absolute
from fragility.statistics.two_samples import (
    FEWEST,
    LEVEL,
    MARGIN,
    CorrectedTest,
    SampleComparison,
    compare_samples,
)

MARGINS: Mapping[Quantity, float] = {
    "spearman": MARGIN,
    "pearson": MARGIN,
    "hessian_top_eigenvalue": math.log(1.5),
    "train_accuracy": 0.01,
}
"""Differences below which medians say the same, in the unit in which they are compared."""

DECIMALS = 6
"""Of correlations and accuracies. Published ones have seven digits or single precision; without
rounding, shares of the same examples would pass for different values, in every run alike."""

Verdict = Literal["agrees", "differs", "cannot tell", "not in the reference", "not measured"]
AGREES: Verdict = "agrees"
DIFFERS: Verdict = "differs"
CANNOT_TELL: Verdict = "cannot tell"
NOT_THERE: Verdict = "not in the reference"
NOT_MEASURED: Verdict = "not measured"

BOTH_AT_CHANCE = "both at chance"


@dataclass(frozen=True)
class Sample:
    """One side: a value a run, None where it is not finite; of a correlation, over `pairs` pairs.

    `median` is of what is compared, but not a logarithm; `left_out` counts the values that cannot
    be compared; `chance` is what unrelated lists give on average and `at_chance` whether the sample
    can be told from them, both None except for correlations.
    """

    values: tuple[float, ...]
    left_out: int
    median: float | None
    chance: float | None
    at_chance: bool | None

    @property
    def runs(self) -> int:
        """How many runs there are, whatever their values."""
        return len(self.values) + self.left_out


@dataclass(frozen=True)
class Held:
    """One quantity of a setting on both sides; a side is None where it has no values.

    `difference` is ours minus published, of logarithms where `logarithmic`; `ranks` decides and
    `shapes` does not. `reason` says why nobody can tell, or is empty.
    """

    quantity: Quantity
    absolute: bool
    ours: Sample | None
    published: Sample | None
    difference: Estimate | None
    ranks: CorrectedTest | None
    shapes: CorrectedTest | None
    verdict: Verdict
    reason: str

    @property
    def logarithmic(self) -> bool:
        """Whether the difference is of logarithms."""
        return self.quantity == "hessian_top_eigenvalue"


@dataclass(frozen=True)
class Sides:
    """What is asked of one quantity of a setting: both sides as they are, signed."""

    quantity: Quantity
    absolute: bool
    ours: Sequence[float | None]
    published: Sequence[float | None]
    our_pairs: int | None = None
    published_pairs: int | None = None


def compared(asked: Sequence[Sides], seed: int) -> list[Held]:
    """Returns the verdict on each, the settings of a quantity corrected as one family."""
    found: dict[int, SampleComparison] = {}
    families: dict[Quantity, list[int]] = defaultdict(list)
    samples = [
        (
            _sample(one, one.ours, one.our_pairs),
            _sample(one, one.published, one.published_pairs),
        )
        for one in asked
    ]
    for place, one in enumerate(asked):
        if all(side is not None for side in samples[place]):
            families[one.quantity].append(place)
    for quantity, places in families.items():
        pairs = {
            str(place): (units(quantity, samples[place][0]), units(quantity, samples[place][1]))
            for place in places
        }
        own = derive_seed(seed, f"published {quantity}")
        for outcome in compare_samples(pairs, seed=own, margin=MARGINS[quantity]):
            found[int(outcome.name)] = outcome
    return [_held(one, *samples[place], found.get(place)) for place, one in enumerate(asked)]


def transformed(quantity: Quantity, absolute: bool, values: Sequence[float | None]) -> Array:
    """Returns what is compared of the finite values: the same for both sides.

    Sizes of correlations where `absolute`, sizes of eigenvalues other than 0, accuracies as are.
    All but eigenvalues are rounded: equal counts are equal in single and in double precision.
    """
    known = np.array([v for v in values if v is not None and math.isfinite(v)], dtype=np.float64)
    if quantity == "hessian_top_eigenvalue":
        changed = np.abs(known[known != 0])
    else:
        changed = np.round(np.abs(known) if _sized(quantity, absolute) else known, DECIMALS)
    return np.asarray(changed, dtype=np.float64)


def _sized(quantity: Quantity, absolute: bool) -> bool:
    return absolute and quantity in CORRELATIONS


def _sample(asked: Sides, values: Sequence[float | None], pairs: int | None) -> Sample | None:
    if not values:
        return None
    known = transformed(asked.quantity, asked.absolute, values)
    chance = null_mean_absolute(pairs) if pairs and asked.quantity in CORRELATIONS else None
    return Sample(
        values=tuple(known.tolist()),
        left_out=len(values) - known.size,
        median=float(np.median(known)) if known.size else None,
        chance=chance,
        at_chance=None if chance is None else at_chance(np.abs(known), chance),
    )


def at_chance(sizes: Array, chance: float) -> bool | None:
    """Returns whether the lower end of Student's interval of the mean size is not above chance."""
    if sizes.size < 2:
        return None
    # Imported here: it doubles the time that every command which only reads needs to start.
    from scipy.special import stdtrit

    half = float(stdtrit(sizes.size - 1, 0.975)) * float(sizes.std(ddof=1)) / sizes.size**0.5
    return bool(sizes.mean() - half <= chance)


def units(quantity: Quantity, sample: Sample | None) -> Array:
    """Returns the values in the unit in which they are compared: of eigenvalues the logarithms."""
    assert sample is not None
    values = np.array(sample.values, dtype=np.float64)
    return np.log(values) if quantity == "hessian_top_eigenvalue" else values


def _held(
    asked: Sides,
    ours: Sample | None,
    published: Sample | None,
    found: SampleComparison | None,
) -> Held:
    difference = ranks = shapes = None
    verdict: Verdict = NOT_THERE if published is None else NOT_MEASURED
    reason = ""
    if found is not None:
        assert ours is not None
        assert published is not None
        difference, ranks, shapes = found.difference, found.ranks, found.shapes
        verdict, reason = found.answer, _few(found)
        if verdict == AGREES and ours.at_chance and published.at_chance:
            verdict, reason = CANNOT_TELL, BOTH_AT_CHANCE
    return Held(
        asked.quantity, asked.absolute, ours, published, difference, ranks, shapes, verdict, reason
    )


def _few(found: SampleComparison) -> str:
    if found.reason is None:
        return ""
    return f"{found.sizes[0]} of ours, {found.sizes[1]} published; {FEWEST} of each are needed"


def rejected(held: Held) -> bool:
    """Whether the corrected test of ranks rejects, whatever the verdict."""
    return held.ranks is not None and held.ranks.corrected <= LEVEL
