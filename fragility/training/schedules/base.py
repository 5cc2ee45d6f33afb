"""What a schedule is: a rule for the learning rate of every model of a stack."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Self

from torch import Tensor

from fragility.method import Method, Room


class Rates(ABC):
    """The learning rates (K, 1) of a stack as training goes on."""

    current: Tensor

    @abstractmethod
    def update(self, data_loss: Tensor) -> None:
        """Takes note of the loss (K,), without penalty, that the last step started from."""

    @abstractmethod
    def select(self, index: Tensor) -> None:
        """Keeps the rates of some of the models."""


class Schedule(Method):
    """A rule for the learning rate."""

    @abstractmethod
    def rates(self, stack: Sequence[Self], initial: Tensor) -> Rates:
        """Returns the rates of a stack that starts at the learning rates `initial` (K, 1)."""


SCHEDULES: Room[Schedule] = Room("schedules", Schedule, "fragility.training.schedules")
