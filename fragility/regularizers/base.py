"""What a regularizer is: a change of the objective, or of how training goes about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from fragility.method import JSON, Method, Room
from fragility.numerics.losses import Loss
from fragility.numerics.network import Layout
from fragility.numerics.noise import Noise
from fragility.numerics.penalties import Penalty
from fragility.training import Training
from fragility.training.newton import Newton
from fragility.training.optimizers import Optimizer
from fragility.training.restraints import Restraints


class Regularizer(Method):
    """A change of the objective J = mean loss + penalty, or of how training goes about it.

    All of its methods have defaults that change nothing.
    """

    departure: ClassVar[str | None] = None
    """What training does beside descending one objective that influence is taken for; None where
    influence is taken for just what is trained."""
    of_objective: ClassVar[bool] = False
    """Whether this is a part of the objective, whatever way training goes to its minimum."""
    per_model: ClassVar[bool] = False
    """Whether each model of a stack may have its own, or none."""

    @property
    def departs(self) -> str | None:
        """What this one does beside the objective, in whatever way its fields say."""
        return self.departure

    def decay(self, layout: Layout) -> Mapping[str, float]:
        """Returns the L2 strength s of parameters by name; the penalty sums (s/2) ||theta||^2."""
        return {}

    def penalties(self, layout: Layout) -> tuple[Penalty, ...]:
        """Returns the penalties of other forms."""
        return ()

    def loss(self, loss: Loss) -> Loss:
        """Returns the loss that is trained, given the one that test examples are measured by."""
        return loss

    def restrained(self, restraints: Restraints) -> Restraints:
        """Returns what keeps training from following its gradient, with this one's share."""
        return restraints

    def noise(self, noise: Noise) -> Noise:
        """Returns what training draws at every step, with this one's share."""
        return noise

    def objection(self, training: Training) -> str | None:
        """Returns why this makes no sense with a training, or None if it does."""
        return None

    def refusal(self, task: str, input_shape: tuple[int, ...]) -> str | None:
        """Returns why this makes no sense for the data, or None if it does."""
        return None


REGULARIZERS: Room[Regularizer] = Room("regularizers", Regularizer, "fragility.regularizers")


@dataclass(frozen=True)
class Regularization:
    """All regularizers of a cell together; their order does not matter."""

    members: tuple[Regularizer, ...]

    @classmethod
    def of(cls, written: Regularizer | tuple[Regularizer, ...]) -> Regularization:
        """Returns what a study declares: one regularizer, or a list of them."""
        members = written if isinstance(written, tuple) else (written,)
        return cls(tuple(sorted(members, key=lambda one: one.kind)))

    def identity(self) -> JSON:
        """Returns the canonical form of what they do; a list of one is that one."""
        found: list[JSON] = [dict(one.identity()) for one in self.members]
        return found[0] if len(found) == 1 else found

    def decay(self, layout: Layout) -> dict[str, float]:
        """Returns the L2 strength of every parameter."""
        found = [one.decay(layout) for one in self.members]
        return {name: sum(one.get(name, 0.0) for one in found) for name in layout.names}

    def penalties(self, layout: Layout) -> tuple[Penalty, ...]:
        """Returns the penalties of other forms."""
        return tuple(penalty for one in self.members for penalty in one.penalties(layout))

    def loss(self, loss: Loss) -> Loss:
        """Returns the loss that is trained, given the one that test examples are measured by."""
        for one in self.members:
            loss = one.loss(loss)
        return loss

    def restraints(self, training: Training) -> Restraints:
        """Returns what keeps a training from following its gradient to the end.

        One that searches for the minimum of the objective has none, whatever trained the base
        model.
        """
        restraints = Restraints()
        for one in () if _searches(training) else self.members:
            restraints = one.restrained(restraints)
        return restraints

    def noise(self, training: Training) -> Noise:
        """Returns what a training draws at every step; one that searches draws nothing."""
        noise = Noise()
        for one in () if _searches(training) else self.members:
            noise = one.noise(noise)
        return noise

    @property
    def departures(self) -> tuple[str, ...]:
        """What training does beside descending the objective that influence is taken for."""
        return tuple(text for one in self.members if (text := one.departs) is not None)

    def fusion(self) -> JSON:
        """Returns what two cells must share for their models to stand in one stack."""
        return [dict(one.identity()) for one in self.members if not one.per_model]

    def objection(self, training: Training, *, of_retraining: bool = False) -> str | None:
        """Returns why this makes no sense with a training, or None if it does.

        A retraining that searches for the minimum leaves out what is no part of the objective.
        """
        only = of_retraining and _searches(training)
        found = (one.objection(training) for one in self.members if one.of_objective or not only)
        return next((text for text in found if text is not None), None)

    def refusal(self, task: str, input_shape: tuple[int, ...]) -> str | None:
        """Returns why this makes no sense for the data, or None if it does."""
        found = (one.refusal(task, input_shape) for one in self.members)
        return next((text for text in found if text is not None), None)


def _searches(training: Training) -> bool:
    """Whether a training searches for the minimum, by Newton's method or along lines."""
    optimizer = getattr(training, "optimizer", None)
    along_lines = isinstance(optimizer, Optimizer) and optimizer.full_batch_only
    return isinstance(training, Newton) or along_lines


def first_order_only(what: str, training: Training) -> str | None:
    """Returns why a training that is no descent by single gradients cannot have something."""
    optimizer = getattr(training, "optimizer", None)
    if isinstance(optimizer, Optimizer) and not optimizer.full_batch_only:
        return None
    how = optimizer.kind if isinstance(optimizer, Optimizer) else training.kind
    return (
        f"{what} changes single steps along a gradient, and `{how}` takes others; use adam or sgd."
    )
