"""A constant learning rate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, Self

from torch import Tensor

from fragility.training.schedules.base import Rates, Schedule


class Constant(Schedule):
    """The learning rate stays as it is.

    Valid when: always.
    Cost: none.
    """

    kind: Literal["none"] = "none"

    def rates(self, stack: Sequence[Self], initial: Tensor, steps: Tensor) -> Rates:
        """Returns rates that never change."""
        return _Constant(initial)


class _Constant(Rates):
    def __init__(self, initial: Tensor) -> None:
        self.current = initial

    def update(self, loss: Tensor) -> None:
        pass

    def state(self) -> dict[str, Tensor]:
        return {"rate": self.current}

    def load(self, state: Mapping[str, Tensor]) -> None:
        self.current = state["rate"]

    def select(self, index: Tensor) -> None:
        self.current = self.current[index]
