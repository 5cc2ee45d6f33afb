"""Training on minibatches: every step sees a few examples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal, Self

from pydantic import NonNegativeInt, PositiveInt, model_validator

from fragility.method import JSON
from fragility.numerics.stack import StackProblem
from fragility.training._minibatch_loop import Loop
from fragility.training.base import Fit, Order, Recorder, Start, Training
from fragility.training.optimizers import OPTIMIZERS, Optimizer
from fragility.training.optimizers.adam import Adam
from fragility.training.restraints import Restraints
from fragility.training.schedules import SCHEDULES, Schedule
from fragility.training.schedules.none import Constant


class Minibatch(Training):
    """Minibatch training: each epoch goes through all examples once, in a newly drawn order.

    A step descends the batch's estimate of the objective: the sum over the batch of the examples'
    losses, each times n/b of its weight in the objective, plus the whole penalty; b is the size of
    the batch, and the last batch of an epoch holds what is left. Every example so counts 1/b. A
    removed one keeps its place in the order with weight 0, and the divisor stays b: under
    `removal: zero_weight` the others count 1/b as before; under `drop` they count n/(n-1) as much,
    so that the mean over an epoch is the mean over the other n - 1 examples.

    A model stops at the end of an epoch: after `epochs`, when its schedule or early stopping stops
    it, when the norm of the gradient of its whole objective reaches `gradient_norm`, or when its
    loss is no longer finite. At a constant learning rate it ends where the noise of the batches
    leaves it, not at an optimum.

    Valid when: always; the gradient norm at the end tells how far from an optimum influence is
        applied, and replicates in an `independent` order tell how large the noise is.
    Cost: `epochs` gradients of all examples for each model, one more at the start and at the end,
        and with `gradient_norm` one an epoch; done models leave the stack. In `independent` orders
        each model's batch is gathered before its step.
    Reference: Robbins and Monro 1951; shared orders are common random numbers (Glasserman 2003).
    """

    counts: ClassVar[Literal["steps", "epochs"]] = "epochs"

    kind: Literal["minibatch"] = "minibatch"
    batch_size: PositiveInt
    """Examples a step; all of them when there are fewer."""
    epochs: NonNegativeInt
    """Upper limit of the number of passes through the examples."""
    order: Order = "shared"
    """Whether a retraining sees its base model's batches, or draws an order of its own."""
    optimizer: Annotated[Optimizer, OPTIMIZERS] = Adam()
    """How parameters move."""
    schedule: Annotated[Schedule, SCHEDULES] = Constant()
    """How the learning rate changes."""

    @model_validator(mode="after")
    def _has_an_optimizer_for_batches(self) -> Self:
        if self.optimizer.full_batch_only:
            raise ValueError(
                f"the `optimizer` {self.optimizer.kind} compares losses of the same examples, "
                "which minibatches change from step to step; use sgd or adam"
            )
        if self.schedule.full_batch_only:
            raise ValueError(
                f"the `schedule` {self.schedule.kind} goes by the loss with its penalty "
                "(`includes_penalty`), which is told of the full batch alone"
            )
        return self

    @property
    def example_order(self) -> Order:
        """Whose example order a retraining follows."""
        return self.order

    def at_rate(self, learning_rate: float) -> Self:
        """Returns this training begun at another learning rate."""
        optimizer = self.optimizer.model_copy(update={"learning_rate": learning_rate})
        return self.model_copy(update={"optimizer": optimizer})

    @property
    def resumable(self) -> bool:
        """Whether the optimizer leaves something to resume."""
        return self.optimizer.resumable

    def ordered(self, order: Order) -> Self:
        """Returns this training with another order of retrainings."""
        return self.model_copy(update={"order": order})

    def fusion(self) -> JSON:
        """Models share the batch size, the kinds of optimizer and schedule, and the precision."""
        optimizer, schedule = self.optimizer.fusion(), self.schedule.kind
        return [self.kind, optimizer, schedule, self.dtype, self.batch_size]

    def fit(
        self,
        stack: Sequence[Minibatch],
        problem: StackProblem,
        start: Start,
        recorder: Recorder,
        restraints: Sequence[Restraints] = (),
    ) -> Fit:
        """Trains the stack; see the class."""
        return Loop(stack, problem, start, recorder, restraints).run()
