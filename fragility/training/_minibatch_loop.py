"""The loop of minibatch training: epochs of steps for a stack of models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from fragility.numerics.compilation import compiled
from fragility.numerics.stack import StackProblem
from fragility.training._early_stopping import Waiting
from fragility.training._orders import Orders
from fragility.training._running import Running
from fragility.training.base import Fit, Recorder, Start, State
from fragility.training.optimizers import FirstOrder

if TYPE_CHECKING:
    from fragility.training.minibatch import Minibatch


class Loop(Running):
    """The running state, with the place in the epoch."""

    def __init__(
        self, stack: Sequence[Minibatch], problem: StackProblem, start: Start, recorder: Recorder
    ) -> None:
        if len(start.orders) != len(stack):
            raise ValueError("minibatch training needs the seed of each model's example order")
        n, device = problem.weights.shape[1], start.theta.device
        self.size = min(stack[0].batch_size, n)
        self.batches = -(-n // self.size)
        limits = torch.tensor([one.epochs for one in stack], device=device)
        super().__init__(stack, problem, start, recorder, limits, self.batches)
        self.stack = stack
        self.most = max(1, self.batches * int(limits.max()))
        self.orders = Orders(start.orders, n, device)
        self.waiting = Waiting([one.early_stopping for one in stack], self.theta)
        self.parts["waiting"] = self.waiting
        stops = self.watches_norm or any(one.early_stopping for one in stack)
        may_end_early = stops or self.done() is not None
        known = 0 if may_end_early or not self.orders.shared else int(limits.sum()) * self.batches
        self.problem, self.gradients = compiled(problem, known, self.size)
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
                    return self.ends.fit(self.stack, self.initial_loss, self.gradients)
            if self.rows is None:
                self.rows = self.orders.epoch(epoch)
            self._take(self.rows[..., place * self.size : (place + 1) * self.size])
            if place + 1 == self.batches:
                self._end_epoch()
            self.recorder.progress(self.step / self.most)

    def _take(self, rows: Tensor) -> None:
        here = self.problem.evaluate_rows(self.theta, rows)
        assert isinstance(self.stepper, FirstOrder)
        self.theta = self.stepper.move(self.theta, here.gradient, self.rates.current)
        if not self.rates.follows_loss:
            self.rates.update(here.data_loss)
        self.loss = self.loss + here.data_loss * (rows.shape[-1] / self.problem.weights.shape[1])
        self.step += 1

    def _end_epoch(self) -> None:
        if self.rates.follows_loss:
            self.rates.update(self.loss)
        self.waiting.update(self.loss)
        self.rows = None

    def _stop(self, epoch: int) -> None:
        """Lets models go that are done, and begins an epoch of the others."""
        here = None
        stopped = (self.limits <= epoch) | self.waiting.over() | ~torch.isfinite(self.loss)
        if (done := self.done()) is not None:
            stopped = stopped | done
        if epoch == 0 or self.watches_norm:
            here = self.problem.evaluate(self.theta)
            stopped = stopped | (here.gradient.norm(dim=1) <= self.tolerances)
            if epoch == 0:
                self.initial_loss = here.data_loss
        leaving = (stopped & self.active).nonzero().squeeze(1)
        if len(leaving):
            theta = self.theta[leaving]
            memory = {name: value[leaving] for name, value in self.memory().items()}
            if here is None:
                end = self.problem.select(leaving).evaluate(theta)
            else:
                end = here.select(leaving)
            self.ends.note(self.models[leaving], self.step, theta, end, memory)
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
