"""The specification curve: every combination of choices over the same scores and effects.

The grid of choices stands here and nowhere else: test points `TESTS`, training points `REMOVALS`,
truths (each procedure that removes single points; with replicates, their mean or one of them),
metrics `METRICS` and ways to average `AGGREGATIONS`.

Source: U. Simonsohn, J. P. Simmons, L. D. Nelson, Specification curve analysis, Nature Human
Behaviour 4 (2020) 1208-1214.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fragility.protocols._rules import (
    DIMENSIONS,
    Aggregation,
    Measure,
    Removals,
    Repeats,
    Rule,
    Specification,
    Tests,
    Truth,
    evaluate,
)
from fragility.protocols._stored import Stored

TESTS: tuple[Tests, ...] = ("all", "max_loss", "median_loss", "random")
REMOVALS: tuple[Removals, ...] = ("all", "top_size", "top_score", "band", "random")
METRICS: tuple[Measure, ...] = ("pearson", "spearman", "|spearman|")
AGGREGATIONS: tuple[Aggregation, ...] = ("per_test", "pooled", "of_means")

KEPT = 40
"""Removals that a selecting rule keeps (Basu et al. 2021), or half of them where that is fewer."""

FEWEST_KEPT = 8
"""Below this nothing is selected: the correlations would be noise of their own."""


@dataclass(frozen=True)
class Curve:
    """Specifications by ascending value; `undefined` counts those that have none."""

    specifications: tuple[Specification, ...]
    undefined: int

    @property
    def signed(self) -> tuple[Specification, ...]:
        """Those of signed correlations and matching targets, which a range is said of.

        Where no truth moves the parameters that the score covers, those of the others.
        """
        signed = tuple(s for s in self.specifications if s.rule.measure != "|spearman|")
        return tuple(s for s in signed if not s.mismatch) or signed

    @property
    def mismatched(self) -> tuple[Specification, ...]:
        """Those whose truth moves other parameters than the score covers."""
        return tuple(s for s in self.specifications if s.mismatch)

    def attribution(self) -> list[tuple[str, str, float, str, float]]:
        """Returns, the largest gap first: dimension, lowest choice and its mean, highest and its.

        A choice's mean is over all signed specifications that make it.
        """
        found = []
        for place, dimension in enumerate(DIMENSIONS):
            groups: dict[str, list[float]] = {}
            for one in self.signed:
                groups.setdefault(one.choices[place], []).append(one.number.value)
            means = sorted((float(np.mean(values)), name) for name, values in groups.items())
            if len(means) > 1:
                (low, lowest), (high, highest) = means[0], means[-1]
                found.append((dimension, lowest, low, highest, high))
        return sorted(found, key=lambda item: item[2] - item[4])


def curve(arm: Mapping[str, Sequence[Stored]]) -> Curve:
    """Returns the curve of one arm and estimator: by the label of each procedure, its repeats.

    Choices that cannot differ are made once: one test point is not pooled, one repeat has no means,
    one replicate has no mean. Procedures that remove groups are left out.

    Cost: some forty correlations of all pairs, for each procedure.
    """
    found = []
    for procedure, repeats in sorted(arm.items()):
        if repeats and not repeats[0].group:
            used = Repeats(repeats)
            badge = repeats[0].mismatch
            found += [Specification(r, procedure, evaluate(r, used), badge) for r in rules(repeats)]
    defined = [one for one in found if np.isfinite(one.number.value)]
    defined.sort(key=lambda one: (one.number.value, one.choices))
    return Curve(tuple(defined), len(found) - len(defined))


def rules(repeats: Sequence[Stored]) -> Iterator[Rule]:
    """Yields the rules that differ for such repeats of one procedure."""
    count = min(KEPT, min(len(stored.removed) for stored in repeats) // 2)
    truths: tuple[Truth, ...] = (
        ("mean", "single") if min(s.replicates for s in repeats) > 1 else ("single",)
    )
    several = min(len(stored.tests) for stored in repeats) > 1
    for tests in TESTS if several else TESTS[:1]:
        for removals in REMOVALS if count >= FEWEST_KEPT else REMOVALS[:1]:
            for truth in truths:
                for measure in METRICS:
                    for aggregation in AGGREGATIONS:
                        if aggregation == "pooled" and (tests != "all" or not several):
                            continue
                        if aggregation == "of_means" and len(repeats) == 1:
                            continue
                        kept = None if removals == "all" else count
                        yield Rule(tests, removals, truth, measure, aggregation, kept)
