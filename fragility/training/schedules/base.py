"""What a schedule is: a rule for the learning rate of every model of a stack."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar, Self

from torch import Tensor

from fragility.method import Method, Room


class Rates(ABC):
    """The learning rates (K, 1) of a stack as training goes on."""

    current: Tensor
    follows_loss: ClassVar[bool] = False
    """Whether the rates follow from the loss; under minibatches they then change at epoch ends."""
    last_batch: Tensor | None = None
    """Whose rates (K,) follow the loss of an epoch's last batch; None: all follow its mean."""
    includes_penalty: Tensor | None = None
    """Whose rates (K,) follow the loss with the penalty; None: nobody's."""

    @abstractmethod
    def update(self, loss: Tensor) -> None:
        """Takes note of a step, and of the loss (K,) that it started from.

        It is without the penalty, but where `includes_penalty` says so.

        Rates that follow the loss are told that of an epoch instead under minibatches: its mean, or
        where `last_batch` says so that of its last batch.
        """

    @abstractmethod
    def state(self) -> dict[str, Tensor]:
        """Returns everything that later rates depend on, each tensor with a leading model axis."""

    @abstractmethod
    def load(self, state: Mapping[str, Tensor]) -> None:
        """Takes over a state."""

    @abstractmethod
    def select(self, index: Tensor) -> None:
        """Keeps the rates of some of the models."""

    def memory(self) -> dict[str, Tensor]:
        """Returns the part of the state that a later training may resume with."""
        return self.state()

    def over(self) -> Tensor | None:
        """Returns which models (K,) the schedule stops, or None for a rule that stops none."""
        return None

    def soonest(self) -> Tensor | None:
        """Returns the fewest updates after which models (K,) stop, or None if none ever does."""
        return None


class Schedule(Method):
    """A rule for the learning rate."""

    @property
    def may_stop(self) -> bool:
        """Whether it may stop a model before its limit of steps."""
        return False

    @property
    def full_batch_only(self) -> bool:
        """Whether it goes by what minibatches do not tell."""
        return False

    @abstractmethod
    def rates(self, stack: Sequence[Self], initial: Tensor, steps: Tensor) -> Rates:
        """Returns the rates of a stack.

        Args:
            stack: the schedule of each model.
            initial: learning rates at the first step, shape (K, 1).
            steps: the most steps that each model takes, shape (K,).
        """


SCHEDULES: Room[Schedule] = Room("schedules", Schedule, "fragility.training.schedules")
