"""Notes on the steps of one model, taken at the place where every training takes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Self

from pydantic import ConfigDict
from torch import Tensor

from fragility.numerics.history import Adjoint
from fragility.training._steered import steered
from fragility.training.base import State
from fragility.training.optimizers import FirstOrder, Optimizer
from fragility.training.restraints import Restraints


class Notes:
    """The learning rate (1,) of every step, and every so often what the next step depends on."""

    def __init__(self, spacing: int) -> None:
        self.spacing = spacing
        self.rates: list[Tensor] = []
        self.places: list[tuple[Tensor, State]] = []

    def take(self, theta: Tensor, memory: State, rates: Tensor) -> None:
        """Takes note of one step before it is taken."""
        if len(self.rates) % self.spacing == 0:
            kept = {name: value.clone() for name, value in memory.items()}
            self.places.append((theta.clone(), kept))
        self.rates.append(rates.squeeze(1).clone())


class Watched(Optimizer):
    """An optimizer as it is, with notes on its steps."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    kind: str = "watched"
    optimizer: Optimizer
    notes: Notes
    restraints: Restraints

    @classmethod
    def of(cls, optimizer: Optimizer, notes: Notes, restraints: Restraints) -> Watched:
        """Returns an optimizer with notes, its steps under restraints."""
        return cls(
            learning_rate=optimizer.learning_rate,
            optimizer=optimizer,
            notes=notes,
            restraints=restraints,
        )

    @property
    def resumable(self) -> bool:
        """Nothing goes on from here."""
        return False

    def stepper(self, stack: Sequence[Self], theta: Tensor) -> FirstOrder:
        """Returns the optimizer's own state, watched."""
        stepper = self.optimizer.stepper([one.optimizer for one in stack], theta)
        assert isinstance(stepper, FirstOrder)
        return _Watching(steered(stepper, [one.restraints for one in stack], theta), self.notes)


class _Watching(FirstOrder):
    def __init__(self, stepper: FirstOrder, notes: Notes) -> None:
        self.stepper, self.notes = stepper, notes

    def move(self, theta: Tensor, gradient: Tensor, rates: Tensor) -> Tensor:
        self.notes.take(theta, self.stepper.state(), rates)
        return self.stepper.move(theta, gradient, rates)

    def pull(
        self, theta: Tensor, gradient: Tensor, rates: Tensor, after: Adjoint
    ) -> tuple[Adjoint, Tensor]:
        return self.stepper.pull(theta, gradient, rates, after)

    def state(self) -> State:
        return self.stepper.state()

    def load(self, state: Mapping[str, Tensor]) -> None:
        self.stepper.load(state)

    def select(self, index: Tensor) -> None:
        self.stepper.select(index)
