"""What a procedure is: what is removed, how the model is retrained, where it is measured."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import NonNegativeInt, PositiveInt, field_validator

from fragility.method import JSON, Method, Room
from fragility.numerics.network import ParameterSet
from fragility.selectors import SELECTORS, Candidates, Selector
from fragility.training import Training


@dataclass(frozen=True)
class Removal:
    """One retraining: the slot of what is removed (None: a placebo), and the replicate.

    `slot_identity` says how what is removed is found; `identity` also how the model is retrained.
    """

    slot: int | None
    replicate: int
    slot_identity: JSON
    identity: JSON


@dataclass(frozen=True)
class Chosen:
    """What a procedure removes, slot by slot: each slot's training points.

    `values` (slots,): what each was chosen by, NaN where by nothing.
    """

    members: tuple[NDArray[np.int64], ...]
    values: NDArray[np.float64]


class Procedure(Method):
    """A ground truth: effects of removal, measured by retraining."""

    removes: ClassVar[Literal["point", "group"]]
    """Whether a slot holds one training point or a group of them."""

    test_points: Annotated[Selector, SELECTORS]
    """Which test points the effect is measured on."""
    start: Literal["warm", "cold"] = "warm"
    """Where a retraining starts: at the base model's parameters, or at initial values."""
    parameters: ParameterSet = "all"
    """What is retrained: `all`, `last_layer`, `last_layer_weight`, or patterns of parameter names
    such as `["3.*"]`; the rest is frozen at the base model's values."""
    state: Literal["reset", "resume"] = "reset"
    """Optimizer and schedule begin anew, or a warm start goes on with the base training's."""
    replicates: PositiveInt = 1
    """How often each retraining is done; the procedure says what differs between them."""
    record_every: NonNegativeInt = 0
    """Note the chosen test points' loss every so many retraining steps; 0: do not."""

    @field_validator("test_points")
    @classmethod
    def _test_points_need_no_scores(cls, selector: Selector) -> Selector:
        if selector.needs == "scores":
            raise ValueError(f"`{selector.kind}` chooses training points, not test points")
        return selector

    def objection(self, training: Training) -> str | None:
        """Returns why this makes no sense with a base model trained that way; None if it does."""
        return None

    @property
    def needs_scores_of(self) -> str | None:
        """Label of the estimator whose scores decide what is removed, if any do."""
        return None

    @property
    @abstractmethod
    def rule(self) -> tuple[str, str]:
        """The key that says what is removed, and the kind of rule that stands there."""

    @abstractmethod
    def slots(self, n_train: int) -> list[JSON]:
        """Returns how what each slot removes is found.

        Raises:
            UsageError: the training set does not have what is asked for.
        """

    @abstractmethod
    def choose(self, candidates: Candidates) -> Chosen:
        """Returns the training points of each slot.

        Raises:
            MethodFailure: the training set does not have what is asked for.
        """

    @abstractmethod
    def removals(self, n_train: int) -> list[Removal]:
        """Returns every retraining, for each replicate a placebo first."""

    @abstractmethod
    def retraining(self, training: Training) -> Training:
        """Returns how retraining goes, given how the base model was trained."""

    @abstractmethod
    def weights(self, n_train: int, removed: NDArray[np.int64] | None) -> NDArray[np.float64]:
        """Returns the weight of each training example in the objective, with the mean's factor.

        `removed` are the positions that a slot removes, None for a placebo.
        """


PROCEDURES: Room[Procedure] = Room("procedures", Procedure, "fragility.procedures")
