"""The loop of minibatch training: epochs of steps for a stack of models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from fragility.numerics.stack import StackProblem
from fragility.training._compiling import Compiling
from fragility.training._orders import Orders
from fragility.training._running import Running
from fragility.training.base import Fit, Recorder, Start, State
from fragility.training.optimizers import FirstOrder
from fragility.training.restraints import Restraints

if TYPE_CHECKING:
    from fragility.training.minibatch import Minibatch


class Loop(Running):
    """The running state, with the place in the epoch."""

    def __init__(
        self,
        stack: Sequence[Minibatch],
        problem: StackProblem,
        start: Start,
        recorder: Recorder,
        restraints: Sequence[Restraints],
    ) -> None:
        if len(start.orders) != len(stack):
            raise ValueError("minibatch training needs the seed of each model's example order")
        n, device = problem.weights.shape[1], start.theta.device
        self.size = min(stack[0].batch_size, n)
        self.batches = -(-n // self.size)
        limits = torch.tensor([one.epochs for one in stack], device=device)
        super().__init__(stack, problem, start, recorder, limits, restraints, self.batches)
        self.stack = stack
        self.most = max(1, self.batches * int(limits.max()))
        self.orders = Orders(start.orders, n, device)
        known = int(self.fewest_units().sum()) * self.batches
        self.compiling = Compiling(problem, known, self.size, shared=self.orders.shared)
        self.problem = self.compiling.problem
        self.rows: Tensor | None = None
        # The epoch's mean loss, as far as the epoch has come.
        self.loss = self.theta.new_zeros(len(stack))

    def run(self) -> Fit:
        """Trains until the last model stops."""
        self.taken_up()
        while True:
            self.save_if_due()
            self._record()
            epoch, place = divmod(self.step, self.batches)
            if place == 0:
                self._stop(epoch)
                if not bool(self.active.any()):
                    return self.ends.fit(self.stack, self.initial_loss, self.compiling.how)
                resting = self.resting(epoch)
                if resting is not None and self.skip(resting):
                    continue
            if self.rows is None:
                self.rows = self.orders.epoch(epoch)
            loss = self._take(self.rows[..., place * self.size : (place + 1) * self.size])
            if place + 1 == self.batches:
                self._end_epoch(loss)
            self.recorder.progress(self.step / self.most)

    def _take(self, rows: Tensor) -> Tensor:
        """Takes a step on a batch; returns its losses (K,)."""
        here = self.problem.at(self.step).evaluate_rows(self.theta, rows)
        assert isinstance(self.stepper, FirstOrder)
        epoch = self.step // self.batches
        resting = self.resting(epoch)
        memory = {} if resting is None else self.stepper.state()
        theta = self.stepper.move(self.theta, here.gradient, self.current_rates)
        self.theta = theta if resting is None else self.rest(resting, theta, memory)
        if not self.rates.follows_loss:
            self.follow(epoch, here.data_loss, resting)
        self.loss = self.loss + here.data_loss * (rows.shape[-1] / self.problem.weights.shape[1])
        self.step += 1
        self.problem = self.compiling.spend(self.problem)
        return here.data_loss

    def _end_epoch(self, last: Tensor) -> None:
        """Tells everything that watches the loss that an epoch is over, given its last batch's."""
        epoch = self.step // self.batches - 1
        resting = self.resting(epoch)
        if self.rates.follows_loss:
            self.follow(epoch, self._watched(last, self.rates.last_batch), resting)
        whose = None if self.waiting is None else self.waiting.last_batch
        self.end_unit(epoch, self._watched(last, whose), resting)
        self.rows = None

    def _watched(self, last: Tensor, whose: Tensor | None) -> Tensor:
        """Returns the epoch's losses (K,): of some models the last batch's, else the mean."""
        return self.loss if whose is None else torch.where(whose, last, self.loss)

    def _stop(self, epoch: int) -> None:
        """Lets models go that are done, and begins an epoch of the others."""
        here = None
        stopped = (self.limits <= epoch) | ~torch.isfinite(self.loss)
        if (done := self.done()) is not None:
            stopped = stopped | done
        if epoch == 0 or self.watches_norm:
            here = self.problem.evaluate(self.theta)
            stopped = stopped | (here.gradient.norm(dim=1) <= self.tolerances)
            if epoch == 0:
                self.initial_loss = here.data_loss
        leaving = (stopped & self.active).nonzero().squeeze(1)
        if len(leaving):
            self.leave(leaving, here)
            self.active = self.active & ~stopped
            self.compact()
        self.loss = torch.zeros_like(self.loss)

    def keep(self, rows: Tensor) -> None:
        """Drops all other models."""
        super().keep(rows)
        self.orders.select(rows)
        self.loss = self.loss[rows]

    def _record(self) -> None:
        trajectory = self.recorder.trajectory
        if trajectory is None or self.step % trajectory.every:
            return
        rows = self.active.nonzero().squeeze(1)
        theta = self.theta[rows]
        # Of all examples: the loss of one batch tells little.
        loss = self.problem.select(rows).evaluate(theta).data_loss
        trajectory.observe(self.step, theta, self.models[rows], loss)

    def state(self) -> State:
        """Returns all that the rest of the training depends on."""
        return {**super().state(), "loss": self.loss}

    def load(self, state: State) -> None:
        """Takes over a state."""
        super().load(state)
        self.loss = state["loss"]
