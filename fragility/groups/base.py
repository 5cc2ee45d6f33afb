"""What a grouping is: a rule that draws groups of training points, one a slot."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, Field, PositiveFloat, PositiveInt

from fragility.errors import UsageError
from fragility.identity import derive_seed
from fragility.method import JSON, Method, Room
from fragility.selectors import Candidates


def _fractions_or_numbers(sizes: tuple[float, ...]) -> tuple[float, ...]:
    broken = [size for size in sizes if size >= 1 and size != int(size)]
    if broken:
        raise ValueError(f"{broken[0]} is neither a fraction below 1 nor a whole number")
    return sizes


Sizes = Annotated[
    tuple[PositiveFloat, ...], Field(min_length=1), AfterValidator(_fractions_or_numbers)
]
"""Sizes of groups: below 1 a fraction of the training set, else a number of examples."""


def sizes_in_examples(sizes: Sizes, n_train: int) -> list[int]:
    """Returns sizes of groups in examples.

    Raises:
        UsageError: a size leaves no group, or no training set.
    """
    found = [round(size * n_train) if size < 1 else int(size) for size in sizes]
    for asked, size in zip(sizes, found, strict=True):
        if not 0 < size < n_train:
            raise UsageError(
                f"`sizes` has {asked:g}, which makes {size} of {n_train} training examples."
            )
    return found


class Grouping(Method):
    """Draws `count` groups of each size; a larger `count` leaves the first ones as they are."""

    sizes: Sizes
    """Sizes of the groups: below 1 a fraction of the training set, else a number of examples."""
    count: PositiveInt = 10
    """Number of groups of each size."""

    @property
    def needs_scores_of(self) -> tuple[str, ...]:
        """Labels of the estimators whose scores the groups are drawn by."""
        return ()

    def slots(self, n_train: int) -> list[JSON]:
        """Returns the identity of each group: the rule, its size in examples, its place.

        Raises:
            UsageError: a size leaves no group, or no training set.
        """
        rule = {
            name: value
            for name, value in self.identity().items()
            if name not in ("sizes", "count", "estimator")
        }
        return [{**rule, "size": size, "place": place} for size, place in self._places(n_train)]

    def _places(self, n_train: int) -> Iterator[tuple[int, int]]:
        for size in sizes_in_examples(self.sizes, n_train):
            yield from ((size, place) for place in range(self.count))

    def draw(self, candidates: Candidates) -> list[NDArray[np.int64]]:
        """Returns the members of every group, ascending, in the order of the slots.

        Raises:
            MethodFailure: the training set has no such groups.
        """
        groups = []
        for size, place in self._places(len(candidates.losses)):
            seed = derive_seed(candidates.seed, "group", size, place)
            members = self.members(candidates, size, np.random.default_rng(seed))
            groups.append(np.sort(members).astype(np.int64))
        return groups

    @abstractmethod
    def members(
        self, candidates: Candidates, size: int, generator: np.random.Generator
    ) -> NDArray[np.int64]:
        """Returns `size` different training points that make one group."""


GROUPS: Room[Grouping] = Room("groups", Grouping, "fragility.groups")
