"""A table of numbers by the levels of crossed groups of factors, and by repeat."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import prod

import numpy as np
from numpy.typing import NDArray

from fragility.statistics.estimate import Array

Subset = tuple[int, ...]


@dataclass(frozen=True)
class Crossing:
    """Values (repeats, levels of the first group, of the second, ...), 0 where not `present`."""

    values: Array
    present: NDArray[np.bool_]

    @property
    def repeats(self) -> int:
        """How many repeats there are."""
        return len(self.values)


def crossing(
    values: Array, groups: Mapping[str, Sequence[Sequence[Hashable]]], repeats: Sequence[Hashable]
) -> Crossing | str:
    """Returns the table of `values` (rows,), or the reason why there is none.

    A level of a group is a combination of the labels of its factors, of those that occur. Every
    level of one group must occur with every level of the others, in at least one repeat.
    """
    coded = {name: _codes(list(zip(*factors, strict=True))) for name, factors in groups.items()}
    for name, (_, count) in coded.items():
        if count < 2:
            return f"{name} has a single level: nothing varies with it"
    rounds, count = _codes(list(repeats))
    shape = (count, *(size for _, size in coded.values()))
    place = np.ravel_multi_index((rounds, *(codes for codes, _ in coded.values())), shape)
    if len(np.unique(place)) < len(place):
        return (
            "some rows have the same choices and repeat: a factor in which they differ is missing"
        )
    table, present = np.zeros(prod(shape)), np.zeros(prod(shape), dtype=bool)
    table[place], present[place] = values, True
    found = Crossing(table.reshape(shape), present.reshape(shape))
    empty = int(np.count_nonzero(~found.present.any(axis=0)))
    if empty:
        of = prod(shape[1:])
        return (
            f"{empty} of {of} combinations of {' x '.join(coded)} are empty: they are not crossed"
        )
    return found


def subsets(count: int) -> list[Subset]:
    """Returns the nonempty sets of so many groups, single ones first."""
    sizes = range(1, count + 1)
    return [chosen for size in sizes for chosen in combinations(range(count), size)]


def effects(table: Array, count: int) -> Iterator[tuple[Subset, Array]]:
    """Yields for every set of groups its effect, of `table` (..., levels of `count` groups).

    The parts of the functional analysis of variance with all levels equally likely: orthogonal, so
    that their mean squares sum to the variance of the table over its last axes. A part is constant
    over the groups that it does not depend on, and has size 1 there.

    Source: B. Efron, C. Stein, Ann. Stat. 9 (1981) 586-596; I. M. Sobol, Math. Comput. Simul. 55
    (2001) 271-280.
    """
    parts: dict[Subset, Array] = {(): table}
    for group in range(count):
        axis = group - count
        means = {chosen: part.mean(axis=axis, keepdims=True) for chosen, part in parts.items()}
        split = {(*chosen, group): part - means[chosen] for chosen, part in parts.items()}
        parts = means | split
    yield from ((chosen, parts[chosen]) for chosen in subsets(count))


def _codes(labels: list[Hashable]) -> tuple[NDArray[np.intp], int]:
    numbers = {label: number for number, label in enumerate(dict.fromkeys(labels))}
    return np.array([numbers[label] for label in labels], dtype=np.intp), len(numbers)
