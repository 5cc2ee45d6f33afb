"""What a selector is: a rule that names points, one a slot."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import PositiveInt

from fragility.errors import UsageError
from fragility.method import JSON, Method, Room

Array = NDArray[np.float64]
Points = NDArray[np.int64]


@dataclass(frozen=True)
class Candidates:
    """What a selector may look at.

    `losses` (size,): the base model's loss on each candidate. `scores`: by label of an estimator
    its scores (T, size) for the chosen test points, where the selector names it. `seed`: of the
    random draw. `inputs` (size, ...) and `targets` (size, ...) of the candidates. `wrong()`
    (size,): which of them the base model puts into a class that is not theirs. `gradient_norms()`
    (size,): the length of the gradient of each one's loss at the base model.
    """

    losses: NDArray[np.floating]
    scores: Mapping[str, NDArray[np.floating]]
    seed: int
    inputs: NDArray[np.floating]
    targets: NDArray[np.generic]
    wrong: Callable[[], NDArray[np.bool_]]
    gradient_norms: Callable[[], Array]

    def __len__(self) -> int:
        return len(self.losses)

    def at(self, positions: Points) -> Candidates:
        """Returns the candidates at `positions`, in their order."""
        return replace(
            self,
            losses=self.losses[positions],
            scores={label: scores[:, positions] for label, scores in self.scores.items()},
            inputs=self.inputs[positions],
            targets=self.targets[positions],
            wrong=lambda: self.wrong()[positions],
            gradient_norms=lambda: self.gradient_norms()[positions],
        )


@dataclass(frozen=True)
class Choice:
    """The point of each slot, `points` (slots,), and how it came to be chosen.

    `values` (slots,): what it was chosen by, NaN: by nothing. `probabilities` (slots,): with which
    the seed's draw includes it, given the model; NaN where the draw could not have included every
    candidate, so that the points say nothing of the others. `roles`: the kind of each one's rule.
    """

    points: Points
    values: Array
    probabilities: Array
    roles: tuple[str, ...]


class Selector(Method):
    """A rule that names points of the training or test set.

    Each point stands in a slot. A slot's identity says how its point is found, so that asking for
    more points (a larger `count`) leaves the first ones and their results as they are.
    """

    way: ClassVar[Literal["named", "chosen", "drawn", "rest"]] = "chosen"
    """Whether points are named by position, chosen by what the model makes of them, drawn at random
    with known probabilities, or simply all there are."""

    @property
    def needs_scores_of(self) -> tuple[str, ...]:
        """Labels of the estimators whose scores choose the points."""
        return ()

    @property
    def fixed(self) -> bool:
        """Whether the first repeat's base model chooses the points of all repeats."""
        return False

    @property
    def varies(self) -> bool:
        """Whether the model also decides how many points there are, up to one a slot."""
        return False

    def refusal(self, task: str) -> str | None:
        """Returns why this cannot choose for a classification or regression, None if it can."""
        return None

    @abstractmethod
    def slots(self, size: int) -> list[JSON]:
        """Returns the identity of each slot, for `size` candidates.

        Raises:
            UsageError: the selector asks for points that the set does not have.
        """

    @abstractmethod
    def choose(self, candidates: Candidates) -> Choice:
        """Returns the point of each slot.

        Raises:
            MethodFailure: the candidates are not such that the rule can be followed.
        """

    def chosen(
        self, points: Points, values: Array | None = None, probabilities: Array | float = np.nan
    ) -> Choice:
        """Returns the choice of `points` by this rule, for values if any, with probabilities."""
        return Choice(
            points=points,
            values=np.full(len(points), np.nan) if values is None else values,
            probabilities=np.broadcast_to(probabilities, points.shape).astype(np.float64),
            roles=(self.kind,) * len(points),
        )


class CountingSelector(Selector):
    """A selector that takes the first `count` points of an order."""

    count: PositiveInt = 1
    """Number of points."""

    def slots(self, size: int) -> list[JSON]:
        """Returns the rule and the place in the order.

        Scores enter by their tasks, not by their estimator's label, and so does the first repeat.
        """
        if self.count > size:
            raise UsageError(f"`{self.kind}` asks for {self.count} points, but there are {size}.")
        elsewhere = ("count", "estimator", "fix_across_repeats")
        rule = {name: value for name, value in self.identity().items() if name not in elsewhere}
        return [{**rule, "place": place} for place in range(self.count)]


class ModelSelector(CountingSelector):
    """A selector that goes by what the base model makes of the candidates."""

    fix_across_repeats: bool = False
    """Let the first repeat's base model choose for all repeats: otherwise every repeat has points
    of its own, and the spread over repeats is one over points too."""

    @property
    def fixed(self) -> bool:
        """Whether the first repeat's base model chooses the points of all repeats."""
        return self.fix_across_repeats


SELECTORS: Room[Selector] = Room("selectors", Selector, "fragility.selectors")
