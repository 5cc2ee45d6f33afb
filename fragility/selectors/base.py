"""What a selector is: a rule that names points, one a slot."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import PositiveInt

from fragility.errors import UsageError
from fragility.method import JSON, Method, Room


@dataclass(frozen=True)
class Candidates:
    """What a selector may look at.

    `losses` (size,): the base model's loss on each candidate. `scores` (T, size): an estimator's
    scores for the chosen test points, where the selector names one. `seed`: of the random draw.
    `inputs` (size, ...) and `targets` (size, ...) of the candidates.
    """

    losses: NDArray[np.floating]
    scores: NDArray[np.floating] | None
    seed: int
    inputs: NDArray[np.floating]
    targets: NDArray[np.generic]


class Selector(Method):
    """A rule that names points of the training or test set.

    Each point stands in a slot. A slot's identity says how its point is found, so that asking for
    more points (a larger `count`) leaves the first ones and their results as they are.
    """

    needs: ClassVar[Literal["nothing", "losses", "scores"]] = "nothing"

    @abstractmethod
    def slots(self, size: int) -> list[JSON]:
        """Returns the identity of each slot, for `size` candidates.

        Raises:
            UsageError: the selector asks for points that the set does not have.
        """

    @abstractmethod
    def choose(self, candidates: Candidates) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Returns the point of each slot, and the value it was chosen by (NaN: by none)."""


class CountingSelector(Selector):
    """A selector that takes the first `count` points of an order."""

    count: PositiveInt = 1
    """Number of points."""

    def slots(self, size: int) -> list[JSON]:
        """Returns the kind and the place in the order."""
        if self.count > size:
            raise UsageError(f"`{self.kind}` asks for {self.count} points, but there are {size}.")
        rule = {name: value for name, value in self.identity().items() if name != "count"}
        return [{**rule, "place": place} for place in range(self.count)]


SELECTORS: Room[Selector] = Room("selectors", Selector, "fragility.selectors")
