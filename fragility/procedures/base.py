"""What a procedure is: what is removed, how the model is retrained, where it is measured."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import field_validator

from fragility.method import JSON, Method, Room
from fragility.numerics.curvature import Curvature
from fragility.numerics.measurables import TASKS, Measurable
from fragility.numerics.network import ParameterSet
from fragility.procedures._replicates import TargetReliability
from fragility.selectors import SELECTORS, Candidates, Selector
from fragility.training import Training
from fragility.training.restraints import Restraints


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

    `values` (slots,): what each was chosen by, NaN where by nothing. `probabilities` (slots,): with
    which the draw includes each, NaN or None where that is not known. `roles`: the kind of rule
    that chose each, where it is not the procedure's. `kept` (slots,): what is left of the weight of
    each slot's examples, None where nothing is.
    """

    members: tuple[NDArray[np.int64], ...]
    values: NDArray[np.float64]
    probabilities: NDArray[np.float64] | None = None
    roles: tuple[str, ...] | None = None
    kept: NDArray[np.float64] | None = None

    def weight(self, slot: int) -> float:
        """Returns what is left of the weight of a slot's examples; 0 where they are removed."""
        return 0.0 if self.kept is None else float(self.kept[slot])


@dataclass(frozen=True)
class Comparison:
    """Losses `before` and `after` (R, S, T) of replicates, slots and test points.

    `chosen`: what the slots remove; `lost` (S,): how much less weight its examples have after than
    before, 1 for a removal.
    """

    chosen: Chosen
    before: NDArray[np.float64]
    after: NDArray[np.float64]
    lost: NDArray[np.float64]


@dataclass(frozen=True)
class Conduct:
    """How retrainings are begun, repeated and watched.

    `cold`: from initial values instead of the base model's parameters; `resumes`: with what the
    base training's optimizer remembers; `replicates`: how often each is done; `record_every`: steps
    after which test losses are noted, 0 for never; `from_last`: where the base model is an average
    of iterates, from the last of them.
    """

    cold: bool = False
    resumes: bool = False
    replicates: int = 1
    record_every: int = 0
    from_last: bool = False


@dataclass(frozen=True)
class Proximity:
    """What holds retrained parameters near the base model's: (strength/2) |theta - base|^2.

    With `bregman` the other examples' losses, and the penalty, are replaced by their Bregman
    divergences from the base model, which are smallest there.
    """

    strength: float
    bregman: bool


@dataclass(frozen=True)
class LinearResponse:
    """A curvature and its damping: the response is (C + damping I)^-1 times a gradient."""

    curvature: Curvature
    damping: float


class Procedure(Method):
    """A ground truth: effects of removal on the chosen test points."""

    removes: ClassVar[Literal["point", "group"]]
    """Whether a slot holds one training point or a group of them."""
    elsewhere: ClassVar[frozenset[str]] = frozenset(
        {"train_points", "groups", "test_points", "measurable", "replicates", "record_every"}
        | {"epochs", "order", "solver", "learning_rate"}
    )
    """Fields that decide no retraining by themselves: slots, seeds or the training's identity hold
    what they say, or they say what is measured."""

    test_points: Annotated[Selector, SELECTORS]
    """Which test points the effect is measured on."""
    parameters: ParameterSet = "all"
    """What is retrained: `all`, `last_layer`, `last_layer_weight`, or patterns of parameter names
    such as `["3.*"]`; the rest is frozen at the base model's values."""
    measurable: Measurable = "loss"
    """What is measured of a test point: its `loss`; `margin`, the log-odds of the right class;
    `probability` of the right class; `absolute_error` of a regression. Scores predict the change of
    the loss; for another measurable they are multiplied by its derivative at the base model."""

    @field_validator("test_points")
    @classmethod
    def _test_points_need_no_scores(cls, selector: Selector) -> Selector:
        if selector.needs_scores_of:
            raise ValueError(f"`{selector.kind}` chooses training points, not test points")
        return selector

    def objection(self, training: Training) -> str | None:
        """Returns why this makes no sense with a base model trained that way; None if it does."""
        return None

    def refusal(self, task: str) -> str | None:
        """Returns why this cannot measure a classification or regression, None if it can."""
        only = TASKS.get(self.measurable, task)
        return None if only == task else f"`{self.measurable}` is for {only}; this data is {task}."

    @property
    def conduct(self) -> Conduct:
        """How retrainings are begun, repeated and watched: once, from the base model."""
        return Conduct()

    @property
    def adaptive(self) -> TargetReliability | None:
        """The reliability that decides how many replicates there are, if one does."""
        return None

    @property
    def truth(self) -> str:
        """The counterfactual that is measured, in the words of the ladder of truths."""
        return self.kind

    @property
    def proximity(self) -> Proximity | None:
        """What holds the retrained parameters near the base model's, if anything does."""
        return None

    @property
    def linear_response(self) -> LinearResponse | None:
        """The curvature whose linear response stands for retraining, if it does."""
        return None

    @property
    def finds(self) -> Literal["self_influence", "test_points"] | None:
        """By which scores planted labels are looked for, where this asks for no effects."""
        return None

    @property
    def chooses_by(self) -> Selector | None:
        """The selector of what is removed, where single points are."""
        return None

    @property
    def needs_scores_of(self) -> tuple[str, ...]:
        """Labels of the estimators whose scores decide what is removed."""
        return () if self.chooses_by is None else self.chooses_by.needs_scores_of

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

    @property
    def how(self) -> dict[str, JSON]:
        """The identity without what chooses points: how a retraining goes, whatever is removed."""
        return {
            name: value for name, value in self.identity().items() if name not in self.elsewhere
        }

    def removals(self, n_train: int) -> list[Removal]:
        """Returns every retraining, for each replicate a placebo first, then slot by slot."""
        how = self.how
        slots: list[tuple[int | None, JSON]] = [(None, "placebo")]
        slots += list(enumerate(self.slots(n_train)))
        return [
            Removal(slot, replicate, identity, {**how, "slot": identity, "replicate": replicate})
            for replicate in range(self.conduct.replicates)
            for slot, identity in slots
        ]

    @abstractmethod
    def retraining(self, training: Training) -> Training:
        """Returns how retraining goes, given how the base model was trained."""

    def restrained(self, restraints: Restraints) -> Restraints:
        """Returns the restraints of retraining, given those that its cell has for it."""
        return restraints

    def idle(self, restraints: Restraints) -> frozenset[str]:
        """Returns the keys given here that say nothing where a base model has such restraints."""
        return frozenset()

    @property
    def comparison(self) -> str:
        """What retrainings are compared with: the base model."""
        return "base"

    @property
    def drops(self) -> bool:
        """Whether the objective's mean runs over what is left, instead of staying over n."""
        return False

    def weights(
        self, n_train: int, removed: NDArray[np.int64] | None, kept: float = 0.0
    ) -> NDArray[np.float64]:
        """Returns the weight of each training example in the objective, with the mean's factor.

        `removed` are the positions that a slot removes, None for a placebo; `kept` is what is left
        of their weight. A mean over what is left counts that too.
        """
        weights = np.full(n_train, 1 / n_train)
        if removed is not None:
            if self.drops:
                weights[:] = 1 / (n_train - (1 - kept) * len(removed))
            weights[removed] *= kept
        return weights

    def compared(
        self, chosen: Chosen, before: NDArray[np.float64], after: NDArray[np.float64]
    ) -> Comparison:
        """Returns what is compared with what, given losses `before` (T,) and `after` (R, S, T)."""
        kept = np.zeros(len(chosen.members)) if chosen.kept is None else chosen.kept
        return Comparison(chosen, np.broadcast_to(before, after.shape), after, 1 - kept)


PROCEDURES: Room[Procedure] = Room("procedures", Procedure, "fragility.procedures")
