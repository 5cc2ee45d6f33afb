"""How a model was trained, step by step: what estimators that follow a training look at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor


@dataclass(frozen=True)
class Step:
    """One step of a training, as it was before it was taken.

    It follows the gradient of the mean loss of the examples in `rows` (all where None) plus the
    penalty. `theta` and `gradient` (P,); `memory` is what the optimizer remembers, by name, each
    tensor with a leading axis of one model; `rate` is the learning rate.
    """

    theta: Tensor
    gradient: Tensor
    memory: Mapping[str, Tensor]
    rows: Tensor | None
    rate: float


@dataclass(frozen=True)
class Adjoint:
    """Derivatives of T scalars in the parameters and in what the optimizer remembers, each (T, P).

    A name that `memory` does not hold has derivative 0.
    """

    theta: Tensor
    memory: Mapping[str, Tensor] = field(default_factory=dict)

    def of(self, name: str) -> Tensor:
        """Returns the derivatives in something the optimizer remembers."""
        return self.memory[name] if name in self.memory else torch.zeros_like(self.theta)


class History(Protocol):
    """A training that can be read forwards and differentiated backwards.

    What is asked first may train the model once more; nothing is stored but about a square root of
    the steps.
    """

    @property
    def start(self) -> Tensor:
        """The parameters (P,) before the first step."""

    @property
    def end(self) -> Tensor:
        """The parameters (P,) after the last step."""

    @property
    def averaged(self) -> bool:
        """Whether the model is an average of iterates, and not the parameters at the end."""

    @property
    def rates(self) -> Tensor:
        """The learning rate of each step, (S,)."""

    @property
    def segments(self) -> Sequence[range]:
        """All steps in order, in parts that may be held in memory one at a time."""

    def replay(self, first: int, last: int) -> list[Step]:
        """Returns the steps from `first` to before `last`, at the cost of a gradient each.

        A segment's steps before `first` are taken again too.
        """

    def pull(self, step: Step, after: Adjoint) -> tuple[Adjoint, Tensor]:
        """Carries derivatives back through the optimizer's rule, its learning rate a constant.

        Returns the derivatives in what was before the step, the gradient held fixed, and those in
        the gradient, (T, P). Computed in the precision of `after`.
        """
